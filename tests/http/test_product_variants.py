"""Variants of a product: listed together or as one."""

from __future__ import annotations

import json

import pytest

from tests.conftest import Shop

GROUP = """
update products set item_group = 'tents', external_id = 'tent ' || name,
  retailer_id = (select retailer_id from products where name = 'Camping 1'), options = $1::text::jsonb, images = $2
where name in ('Camping 1', 'Camping 2', 'Camping 3')
"""
VARIANTS = "query ($id: ID!) { product(id: $id) { variants { name options { name value } } images options { name } } }"


@pytest.fixture
async def grouped(shop: Shop) -> Shop:
    images = ["https://i.example/1.jpg", "https://i.example/2.jpg"]
    await shop.owner.execute(GROUP, json.dumps([{"name": "size", "value": "M"}]), images)
    return shop


async def test_a_product_knows_its_variants(grouped: Shop) -> None:
    id = (await grouped.client().product("Camping 1"))["id"]
    found = (await grouped.client().ask(VARIANTS, id=id))["product"]
    assert sorted(variant["name"] for variant in found["variants"]) == ["Camping 2", "Camping 3"]
    assert found["variants"][0]["options"] == [{"name": "size", "value": "M"}]
    assert len(found["images"]) == 2
    other = (await grouped.client().product("Camping 4"))["id"]
    assert (await grouped.client().ask(VARIANTS, id=other))["product"]["variants"] == []


async def test_an_inactive_variant_is_none(grouped: Shop) -> None:
    await grouped.owner.execute("update products set is_active = false where name = 'Camping 2'")
    id = (await grouped.client().product("Camping 1"))["id"]
    found = (await grouped.client().ask(VARIANTS, id=id))["product"]
    assert [variant["name"] for variant in found["variants"]] == ["Camping 3"]


async def test_a_list_shows_one_of_each_group(grouped: Shop) -> None:
    everything = await grouped.client().products(first=100)
    collapsed = await grouped.client().products(first=100, filter={"collapseVariants": True})
    assert len(everything) - len(collapsed) == 2
    assert len([p for p in collapsed if p["name"] in ("Camping 1", "Camping 2", "Camping 3")]) == 1


async def test_the_one_shown_fits_the_rest_of_the_filter(grouped: Shop) -> None:
    await grouped.owner.execute("update products set in_stock = name <> 'Camping 1' where item_group = 'tents'")
    found = await grouped.client().products(first=100, filter={"collapseVariants": True, "inStock": True})
    names = {product["name"] for product in found}
    assert len(names & {"Camping 2", "Camping 3"}) == 1


async def test_pages_of_a_collapsed_list_repeat_nothing(grouped: Shop) -> None:
    page = """
    query ($after: String) {
      products(first: 7, after: $after, filter: {collapseVariants: true}) {
        nodes { name } pageInfo { endCursor hasNextPage } totalCount
      }
    }
    """
    names: list[str] = []
    after = None
    while True:
        found = (await grouped.client().ask(page, after=after))["products"]
        names += [node["name"] for node in found["nodes"]]
        after = found["pageInfo"]["endCursor"]
        if not found["pageInfo"]["hasNextPage"]:
            break
    assert len(names) == len(set(names)) == found["totalCount"]


async def test_a_feed_shows_one_of_each_group_too(grouped: Shop) -> None:
    anna = await grouped.anonymous()
    every = await anna.feed(first=100)
    one = await anna.feed(first=100, filter={"collapseVariants": True})
    assert len(every["nodes"]) - len(one["nodes"]) == 2
