"""Brands by name, and a search in their names."""

from __future__ import annotations

from typing import Any

from domain import ids
from tests.conftest import Shop

BRANDS = """
query ($first: Int, $after: String, $search: String) {
  brands(first: $first, after: $after, search: $search) {
    totalCount nodes { id name slug } edges { cursor node { slug } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""


async def brands(shop: Shop, **variables: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await shop.client().ask(BRANDS, **variables))["brands"]
    return found


async def test_brands_by_name(shop: Shop) -> None:
    rows = await shop.owner.fetch("select id, name, slug from public.brands order by name, id")
    found = await brands(shop)
    assert [(b["id"], b["name"], b["slug"]) for b in found["nodes"]] == [
        (ids.encode("Brand", row["id"]), row["name"], row["slug"]) for row in rows
    ]
    assert [edge["node"]["slug"] for edge in found["edges"]] == ["alder", "birch", "cedar"]
    assert found["totalCount"] == 3


async def test_pages_join_without_a_gap(shop: Shop) -> None:
    first = await brands(shop, first=2)
    assert [b["slug"] for b in first["nodes"]] == ["alder", "birch"]
    assert first["pageInfo"] == {
        "hasNextPage": True,
        "hasPreviousPage": False,
        "startCursor": first["edges"][0]["cursor"],
        "endCursor": first["edges"][1]["cursor"],
    }
    await shop.owner.execute("insert into public.brands (slug, name) values ('aspen', 'Aspen'), ('cherry', 'Cherry')")
    second = await brands(shop, first=2, after=first["pageInfo"]["endCursor"])
    assert [b["slug"] for b in second["nodes"]] == ["cedar", "cherry"]
    assert (second["pageInfo"]["hasNextPage"], second["pageInfo"]["hasPreviousPage"]) == (False, True)
    assert second["totalCount"] == 5


async def test_search_takes_a_part_of_the_name_literally(shop: Shop) -> None:
    await shop.owner.execute("insert into public.brands (slug, name) values ('half', '50% Off_'), ('back', 'A\\B')")
    for search, expected in (
        ("DER", ["alder"]),
        ("  birch ", ["birch"]),
        ("%", ["half"]),
        ("_", ["half"]),
        ("\\", ["back"]),
        ("no such", []),
    ):
        found = await brands(shop, search=search)
        assert [b["slug"] for b in found["nodes"]] == expected, search
        assert found["totalCount"] == len(expected)
    assert await shop.client().code(BRANDS, search="x" * 101) == "BAD_USER_INPUT"


async def test_an_inactive_brand_is_not_listed(shop: Shop) -> None:
    await shop.owner.execute("update public.brands set is_active = false where slug = 'birch'")
    assert [b["slug"] for b in (await brands(shop))["nodes"]] == ["alder", "cedar"]


async def test_arguments_that_cannot_be(shop: Shop) -> None:
    cursor_of_products = (await shop.client().ask("{ products(first: 1) { pageInfo { endCursor } } }"))["products"]
    for variables in (
        {"first": 101},
        {"first": -3},
        {"after": "forged"},
        {"search": "a\0b"},
        {"after": cursor_of_products["pageInfo"]["endCursor"]},
    ):
        assert await shop.client().code(BRANDS, **variables) == "BAD_USER_INPUT", variables
