"""Retailers, all of them."""

from __future__ import annotations

from domain import ids
from tests.conftest import Shop

RETAILERS = "{ retailers { id name slug network } }"


async def test_all_retailers_by_name(shop: Shop) -> None:
    rows = await shop.owner.fetch("select id, name, slug, affiliate_network from public.retailers order by name, id")
    assert [r["slug"] for r in rows] == ["corner-shop", "north-shop", "south-shop"]
    assert (await shop.client().ask(RETAILERS))["retailers"] == [
        {
            "id": ids.encode("Retailer", row["id"]),
            "name": row["name"],
            "slug": row["slug"],
            "network": row["affiliate_network"],
        }
        for row in rows
    ]


async def test_an_inactive_retailer_is_not_listed_and_its_products_still_name_it(shop: Shop) -> None:
    await shop.owner.execute("update public.retailers set is_active = false where slug = 'north-shop'")
    found = await shop.client().ask(RETAILERS)
    assert [r["slug"] for r in found["retailers"]] == ["corner-shop", "south-shop"]
    sellers = await shop.client().ask("{ products(first: 100) { nodes { retailer { slug } } } }")
    assert {p["retailer"]["slug"] for p in sellers["products"]["nodes"]} == {"north-shop", "south-shop", "corner-shop"}


async def test_everybody_sees_the_same(shop: Shop) -> None:
    anna = await shop.anonymous()
    assert await anna.ask(RETAILERS) == await shop.client().ask(RETAILERS)
