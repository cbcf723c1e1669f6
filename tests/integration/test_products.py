"""The catalogue: search that forgives, orders that page without a gap, filters that mean what SQL means."""

from __future__ import annotations

import string
from typing import Any, TypeAlias

import asyncpg
import pytest

from domain import ids
from tests.catalogue import fill_catalogue
from tests.client import Client
from tests.conftest import Shop

Connection: TypeAlias = "asyncpg.Connection[Any]"
PAGE = """
query ($first: Int, $after: String, $last: Int, $before: String, $orderBy: ProductOrder!, $search: String,
  $filter: ProductFilter) {
  products(first: $first, after: $after, last: $last, before: $before, orderBy: $orderBy, search: $search,
    filter: $filter) {
    totalCount
    nodes { id name }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""
ORDERS = {
    "NEWEST": "created_at desc, id desc",
    "PRICE_ASC": "currency <> 'GBP', currency, price_minor, id",
    "PRICE_DESC": "currency <> 'GBP', currency, price_minor desc, id",
    "NAME": 'name_key, name collate "C", id',
    "POPULARITY": "popularity desc, id desc",
    "RELEVANCE": "private.search_rank(search, private.search_query('present red')) desc, id desc",
}
orders = pytest.mark.parametrize("order", ORDERS)


@pytest.fixture
async def varied(shop: Shop) -> Shop:
    """The shop with prices and popularity that repeat, some products out of stock, some off the shelf."""
    await shop.owner.execute(
        """
        update products set price_minor = 1000 + 100 * (price_minor / 100 % 3),
          popularity = (price_minor / 100 % 4) / 4.0;
        update products set created_at = now() - interval '1 day' * (price_minor / 100 % 3) where name like '%1';
        update products set description = description || ' red red present' where name like '%2';
        update products set description = description || ' red' where name not like '%2';
        update products set in_stock = false where name like '%3';
        update products set is_active = false where name like '%4';
        update products set currency = 'EUR' where name like '%5';
        """
    )
    return shop


async def truth(shop: Shop, condition: str = "true", order: str = "id") -> list[str]:
    """Global ids by a query of one's own."""
    rows = await shop.owner.fetch(f"select id from products r where is_active and {condition} order by {order}")
    return [ids.encode("Product", row["id"]) for row in rows]


async def page(client: Client, order: str, **arguments: Any) -> dict[str, Any]:
    search = "present red" if order == "RELEVANCE" else None
    found: dict[str, Any] = (await client.ask(PAGE, orderBy=order, search=search, **arguments))["products"]
    return found


def ids_of(page: dict[str, Any]) -> list[str]:
    return [node["id"] for node in page["nodes"]]


@orders
async def test_an_order_pages_forward_without_a_gap_or_a_repeat(varied: Shop, order: str) -> None:
    client, seen, after = varied.client(), [], None
    while True:
        found = await page(client, order, first=7, after=after)
        assert found["pageInfo"]["hasPreviousPage"] == bool(seen)
        seen += ids_of(found)
        after = found["pageInfo"]["endCursor"]
        if not found["pageInfo"]["hasNextPage"]:
            break
    assert seen == await truth(varied, order=ORDERS[order])


@orders
async def test_an_order_pages_backward_without_a_gap_or_a_repeat(varied: Shop, order: str) -> None:
    client, seen, before = varied.client(), [], None
    while True:
        found = await page(client, order, last=7, before=before)
        assert found["pageInfo"]["hasNextPage"] == bool(seen)
        seen = ids_of(found) + seen
        before = found["pageInfo"]["startCursor"]
        if not found["pageInfo"]["hasPreviousPage"]:
            break
    assert seen == await truth(varied, order=ORDERS[order])


@orders
async def test_turning_round_gives_the_page_before(varied: Shop, order: str) -> None:
    client = varied.client()
    first = await page(client, order, first=7)
    second = await page(client, order, first=7, after=first["pageInfo"]["endCursor"])
    back = await page(client, order, last=7, before=second["pageInfo"]["startCursor"])
    assert ids_of(back) == ids_of(first)


async def test_a_product_that_comes_meanwhile_neither_repeats_nor_hides_another(shop: Shop) -> None:
    client = shop.client()
    before = await truth(shop, order=ORDERS["PRICE_ASC"])
    first = await page(client, "PRICE_ASC", first=7)
    await shop.owner.execute("update products set price_minor = 1 where name = 'Camping 10'")
    rest = await page(client, "PRICE_ASC", first=100, after=first["pageInfo"]["endCursor"])
    cheaper = (await client.product("Camping 10"))["id"]
    assert [id for id in ids_of(first) + ids_of(rest) if id != cheaper] == [id for id in before if id != cheaper]


async def test_a_cursor_of_another_order_is_refused(shop: Shop) -> None:
    client = shop.client()
    cursor = (await page(client, "NAME", first=1))["pageInfo"]["endCursor"]
    assert await client.code(PAGE, orderBy="NEWEST", after=cursor) == "BAD_USER_INPUT"
    assert await client.code(PAGE, orderBy="NAME", after=cursor[:-1]) == "BAD_USER_INPUT"


FILTERS: list[tuple[dict[str, Any], str]] = [
    ({"categorySlug": "books"}, "category_id = (select id from categories where slug = 'books')"),
    ({"categorySlug": "all-gifts"}, "true"),
    ({"categorySlug": "no-such-category"}, "false"),
    ({"brandSlugs": ["alder", "birch"]}, "brand_id in (select id from brands where slug in ('alder', 'birch'))"),
    ({"brandSlugs": []}, "false"),
    ({"brandSlugs": ["no-such-brand"]}, "false"),
    ({"minPrice": "11"}, "price_minor >= 1100 and currency = 'GBP'"),
    ({"maxPrice": "11.00"}, "price_minor <= 1100 and currency = 'GBP'"),
    ({"minPrice": "10.50", "maxPrice": "11"}, "price_minor between 1050 and 1100 and currency = 'GBP'"),
    ({"minPrice": "0", "currencyCode": "EUR"}, "currency = 'EUR'"),
    ({"tags": ["reading"]}, "tags @> '{reading}'"),
    ({"tags": ["reading", "gift"]}, "tags @> '{reading,gift}'"),
    ({"tags": ["reading", "art"]}, "false"),
    ({"tags": []}, "true"),
    ({"inStock": True}, "in_stock"),
    ({"inStock": False}, "not in_stock"),
    (
        {"categorySlug": "tools", "inStock": True, "maxPrice": "11", "brandSlugs": ["alder"]},
        "category_id = (select id from categories where slug = 'tools') and in_stock and price_minor <= 1100 "
        "and currency = 'GBP' and brand_id = (select id from brands where slug = 'alder')",
    ),
]


@pytest.mark.parametrize(("wanted", "condition"), FILTERS, ids=lambda value: str(value)[:60])
async def test_a_filter_finds_what_sql_finds_and_counts_it(
    varied: Shop, wanted: dict[str, Any], condition: str
) -> None:
    found = await page(varied.client(), "NAME", first=100, filter=wanted)
    expected = await truth(varied, condition)
    assert sorted(ids_of(found)) == sorted(expected)
    assert found["totalCount"] == len(expected)


async def test_the_count_is_of_all_pages(varied: Shop) -> None:
    client = varied.client()
    first = await page(client, "NAME", first=3)
    second = await page(client, "NAME", first=3, after=first["pageInfo"]["endCursor"])
    assert first["totalCount"] == second["totalCount"] == len(await truth(varied))


async def search(client: Client, text: str) -> set[str]:
    """Kinds of the products found: "Camping", "Books", ..."""
    found = (await client.ask(PAGE, first=100, orderBy="RELEVANCE", search=text))["products"]["nodes"]
    return {node["name"].split()[0] for node in found}


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("camping", {"Camping"}),
        ("CAMPING", {"Camping"}),
        ("camps", {"Camping"}),
        ("paints", {"Painting"}),
        ("a present about books", {"Books"}),
        ("book, reading!", {"Books"}),
        ("camping books", set()),
        ("repair", {"Tools"}),
        ("outdoors", {"Camping"}),
        ("reading", {"Books"}),
        ("camping 7", {"Camping"}),
        ("nothing-of-the-kind", set()),
        ("the", set()),
    ],
)
async def test_a_search_looks_for_all_its_words_by_their_stems(shop: Shop, text: str, kinds: set[str]) -> None:
    assert await search(shop.client(), text) == kinds


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("a letter missing", "campng"),
        ("a letter added", "campingt"),
        ("a letter changed", "camqing"),
        ("two letters swapped", "cmaping"),
    ],
)
async def test_a_search_forgives_a_typo(shop: Shop, kind: str, text: str) -> None:
    assert await search(shop.client(), text) == {"Camping"}, kind


async def test_one_typo_is_forgiven_in_each_word(shop: Shop) -> None:
    assert await search(shop.client(), "campng presnet") == {"Camping"}


@pytest.mark.parametrize("text", ["outdrs", "campng boks", "tols", "prty", "booh"])
async def test_two_typos_in_a_word_and_typos_in_short_words_are_not_forgiven(shop: Shop, text: str) -> None:
    assert await search(shop.client(), text) == set()


@pytest.mark.parametrize("text", ["'", "camping & !", "a:*b", "<->", "((", "\\", "%", "🎁", "x" * 200])
async def test_a_search_takes_any_text(shop: Shop, text: str) -> None:
    await search(shop.client(), text)


async def test_a_search_that_is_too_long_is_refused(shop: Shop) -> None:
    assert await shop.client().code(PAGE, orderBy="NAME", search="x" * 201) == "BAD_USER_INPUT"


@pytest.mark.parametrize("text", ["", "   ", None])
async def test_an_empty_search_is_none_and_relevance_is_popularity(shop: Shop, text: str | None) -> None:
    found = (await shop.client().ask(PAGE, first=100, orderBy="RELEVANCE", search=text))["products"]
    assert ids_of(found) == await truth(shop, order=ORDERS["POPULARITY"])


def typos_of(word: str) -> set[str]:
    """All words one edit away from this one."""
    places = range(len(word) + 1)
    missing = {word[:i] + word[i + 1 :] for i in places[:-1]}
    added = {word[:i] + letter + word[i:] for i in places for letter in string.ascii_lowercase}
    changed = {word[:i] + letter + word[i + 1 :] for i in places[:-1] for letter in string.ascii_lowercase}
    swapped = {word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in places[:-2]}
    return (missing | added | changed | swapped) - {word}


@pytest.mark.parametrize("word", ["camping", "painting", "outdoors", "repair", "together"])
async def test_every_single_typo_of_a_word_finds_what_the_word_finds(owner: Connection, word: str) -> None:
    await fill_catalogue(owner)
    await owner.execute("set client_min_messages = warning")
    lost = await owner.fetch(
        """
        select typo from unnest($2::text[]) typo, lateral (select private.search_query(typo) as query offset 0) q
        where exists (
          select from products where search @@ private.search_query($1) and not search @@ q.query)
        """,
        word,
        sorted(typos_of(word)),
    )
    assert await owner.fetchval("select exists (select from products where search @@ private.search_query($1))", word)
    known = {"paintings", "campings", "repairs"}  # are words of their own: same stem, so nothing is lost
    assert {row["typo"] for row in lost} - known == set()


async def test_the_words_of_a_new_product_can_be_mistyped_at_once(shop: Shop) -> None:
    await shop.owner.execute("update products set name = 'Telescope' where name = 'Camping 1'")
    assert await search(shop.client(), "telescpoe") == {"Telescope"}
