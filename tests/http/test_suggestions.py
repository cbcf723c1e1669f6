"""Suggestions: what a typed text may become."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Shop

SUGGEST = """
query ($prefix: String!, $first: Int! = 20) {
  suggest(prefix: $prefix, first: $first) { products { name } brands { name } categories { name } tags }
}
"""
PRODUCT = """
insert into products (
  name, price_minor, currency, category_id, retailer_id, external_id, affiliate_url, tags, popularity)
select $1, 1000, 'GBP', (select id from categories where slug = 'books'), (select id from retailers limit 1), md5($1),
  'https://shop.example/x', $2, $3
"""


async def suggested(shop: Shop, prefix: str, first: int = 20) -> dict[str, list[str]]:
    found = (await shop.client().ask(SUGGEST, prefix=prefix, first=first))["suggest"]
    return {kind: [value if kind == "tags" else value["name"] for value in values] for kind, values in found.items()}


async def add(shop: Shop, name: str, *tags: str, popularity: float = 0.5) -> None:
    await shop.owner.execute(PRODUCT, name, list(tags), popularity)


async def test_all_kinds(shop: Shop) -> None:
    found = await suggested(shop, "camp")
    assert found["categories"] == ["Camping"]
    assert found["products"] and all(name.startswith("Camping ") for name in found["products"])
    assert (await suggested(shop, "ald"))["brands"] == ["Alder"]
    assert "gift" in (await suggested(shop, "gi"))["tags"]


@pytest.mark.parametrize(
    ("name", "prefixes"),
    [
        ("Crème Brûlée Torch", ["creme", "CRÈME", "brul", "BRÛ", "tor", "torch crem", "cr br to"]),
        ("Чайник «Ёлка»", ["чай", "ЧАЙ", "елк", "ёл"]),
        ("お茶セット 緑", ["お茶", "緑"]),
        ("Straße nach Köln", ["strass", "STRAß", "koln", "koeln", "köl"]),
        ("Wi-Fi Plant", ["wifi", "wi-f", "wi", "fi", "pla"]),
        ("Σετ τσαγιού", ["σετ", "ΤΣΑΓ"]),
        ("שולחן קפה", ["שול", "קפ"]),
        ("4K Camera 2000", ["4k", "20"]),
    ],
)
async def test_any_word_in_any_script(shop: Shop, name: str, prefixes: list[str]) -> None:
    await add(shop, name, name.split()[0])
    for prefix in prefixes:
        assert name in (await suggested(shop, prefix))["products"], prefix
    assert name.split()[0] in (await suggested(shop, prefixes[0]))["tags"]


@pytest.mark.parametrize(
    "name", ["'", "-", "é", "a'", "'a", "ß-", "&", "a" * 200 + " b", "a " * 250, "é' " * 160, "ﷺ" * 400]
)
async def test_no_name_is_an_error(shop: Shop, name: str) -> None:
    """Words are cut where an index needs it, wherever blanks are."""
    await add(shop, name, "zebra")
    assert (await suggested(shop, "zeb"))["tags"] == ["zebra"]


async def test_the_middle_of_a_word_is_no_beginning(shop: Shop) -> None:
    assert not any((await suggested(shop, "amping")).values())
    assert not any((await suggested(shop, "camping nonsense")).values())


@pytest.mark.parametrize("prefix", ["", " ", "%", "_", "'", "\\", "!!!", "a' | 'b", "'); drop table products; --"])
async def test_no_text_is_an_error(shop: Shop, prefix: str) -> None:
    found = await suggested(shop, prefix)
    if not any(letter.isalnum() for letter in prefix):
        assert not any(found.values())


async def test_the_most_popular_come_first(shop: Shop) -> None:
    await add(shop, "Zebra Rug", popularity=0.2)
    await add(shop, "Zebra Lamp", popularity=0.9)
    await add(shop, "Zebra Mug", popularity=0.5)
    assert (await suggested(shop, "zeb"))["products"] == ["Zebra Lamp", "Zebra Mug", "Zebra Rug"]
    assert (await suggested(shop, "zeb", first=1))["products"] == ["Zebra Lamp"]
    assert (await suggested(shop, "zeb", first=0))["products"] == []


async def test_what_left_the_catalogue_is_not_suggested(shop: Shop) -> None:
    await add(shop, "Zebra Rug", "zebras")
    assert await suggested(shop, "zeb") == {
        "products": ["Zebra Rug"],
        "brands": [],
        "categories": [],
        "tags": ["zebras"],
    }
    await shop.owner.execute("update products set is_active = false where name = 'Zebra Rug'")
    assert (await suggested(shop, "zeb"))["products"] == []
    await shop.owner.execute("select private.refresh_suggestions()")
    assert (await suggested(shop, "zeb"))["tags"] == []
    await shop.owner.execute("update products set is_active = true where name = 'Zebra Rug'")
    assert (await suggested(shop, "zeb"))["tags"] == ["zebras"]


async def test_changed_names_are_found_at_once(shop: Shop) -> None:
    await shop.owner.execute("update brands set name = 'Zürcher Söhne' where slug = 'alder'")
    assert (await suggested(shop, "sohne"))["brands"] == ["Zürcher Söhne"]
    assert (await suggested(shop, "alder"))["brands"] == []
    await shop.owner.execute("update brands set is_active = false where slug = 'alder'")
    assert (await suggested(shop, "sohne"))["brands"] == []
    await shop.owner.execute("update brands set is_active = true where slug = 'alder'")
    assert (await suggested(shop, "sohne"))["brands"] == ["Zürcher Söhne"]
    await shop.owner.execute("update categories set name = 'Zelten' where slug = 'camping'")
    assert (await suggested(shop, "zel"))["categories"] == ["Zelten"]
    await shop.owner.execute("update products set name = 'Zwieback' where name = 'Camping 1'")
    assert (await suggested(shop, "zwie"))["products"] == ["Zwieback"]


async def test_rare_words_are_found_behind_many_popular_products(shop: Shop) -> None:
    """More products than are looked through by popularity."""
    many = """
      insert into products (
        name, price_minor, currency, category_id, retailer_id, external_id, affiliate_url, popularity)
      select 'Common thing ' || n, 1000, 'GBP', (select id from categories where slug = 'books'),
        (select id from retailers limit 1), 'many ' || n, 'https://shop.example/x', 0.9 from generate_series(1, 1600) n
    """
    await shop.owner.execute(many)
    await add(shop, "Xylophone", popularity=0.1)
    await add(shop, "Xylem", popularity=0.2)
    assert (await suggested(shop, "xyl"))["products"] == ["Xylem", "Xylophone"]
    assert len((await suggested(shop, "th com"))["products"]) == 20


async def test_what_cannot_be(shop: Shop) -> None:
    refused: list[dict[str, Any]] = [
        {"prefix": "a" * 101}, {"prefix": "a\0"}, {"prefix": "a", "first": -1}, {"prefix": "a", "first": 21},
    ]  # fmt: skip
    for variables in refused:
        assert await shop.client().code(SUGGEST, **variables) == "BAD_USER_INPUT", variables


async def test_they_may_be_cached_by_anybody(shop: Shop) -> None:
    query = '{ suggest(prefix: "ca") { products { name } tags } }'
    response = await shop.client().http.get("/graphql", params={"query": query})
    assert response.headers["cache-control"].startswith("public")
