"""Feeds of a large catalogue: ranked from the candidates of the model. Here a model is large from 11 products on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.client import Client
from tests.conftest import Shop
from tests.integration.test_recommendations import GIFTS, SIMILAR, places, taste, walk

FROM, PER_LIST = 10, 4
MAKE_LARGE = f"""
do $$
declare
  newest integer := (select max(version) from public.recommendation_models);
begin
  update public.recommendation_models
    set parameters = parameters || '{{"candidates": {{"from": {FROM}, "per_list": {PER_LIST}}}}}'
    where version = newest;
  perform private.choose_candidates(newest);
end
$$
"""
CANDIDATES = "select list, array_agg(product_id) as products from public.model_candidates group by list"


async def make_large(shop: Shop) -> None:
    await shop.owner.execute(MAKE_LARGE)


async def lists(shop: Shop) -> dict[str, list[Any]]:
    return {row["list"]: row["products"] for row in await shop.owner.fetch(CANDIDATES)}


async def names(client: Client, size: int) -> list[str]:
    return [node["product"]["name"] for node in (await client.feed(first=size))["nodes"]]


async def test_a_small_model_has_no_candidates(shop: Shop) -> None:
    await shop.owner.execute("select private.refresh_model()")
    assert (
        await shop.owner.fetchval("select product_count from public.recommendation_models order by version desc") == 50
    )
    assert await lists(shop) == {}


async def test_each_list_holds_the_best_of_its_kind(shop: Shop) -> None:
    await make_large(shop)
    found = await lists(shop)
    assert {len(products) for products in found.values()} == {PER_LIST}
    kinds = {"popular", *(f"{sign}{trait}" for sign in "+-" for trait in ("adventurous", "creative"))}
    assert kinds <= set(found) and {"tag:gift", "tag:outdoors"} <= set(found)
    assert len([name for name in found if name.startswith("category:")]) == 5
    best = await shop.owner.fetch(
        "select id from public.products where 'outdoors' = any (tags) order by popularity desc, id desc limit $1",
        PER_LIST,
    )
    assert set(found["tag:outdoors"]) == {row["id"] for row in best}
    least = await shop.owner.fetchval(
        "select max(adventurous) from public.product_features where product_id = any ($1)", found["-adventurous"]
    )
    assert least < 0


@pytest.mark.parametrize("size", [1, 5, 7])
async def test_pages_do_not_repeat_and_run_from_the_best_down(shop: Shop, size: int) -> None:
    client = await taste(shop)
    await make_large(shop)
    seen = places(await walk(client, size))
    assert [score for _, score in seen] == sorted((score for _, score in seen), reverse=True)
    assert len({product for product, _ in seen}) == len(seen)
    assert len(seen) > 3 * PER_LIST


async def test_the_score_of_a_product_is_the_same_as_in_a_small_catalogue(shop: Shop) -> None:
    client = await taste(shop)
    small = dict(places(await walk(client, 45)))
    await make_large(shop)
    large = places(await walk(client, 5))
    assert {product: small[product] for product, _ in large} == pytest.approx(dict(large))


async def test_the_best_match_leads_the_feed_of_a_large_catalogue_too(shop: Shop) -> None:
    client = await taste(shop)
    small = await names(client, 5)
    await make_large(shop)
    assert (await names(client, 5))[:3] == small[:3]


async def test_a_feed_continues_after_its_candidates(shop: Shop) -> None:
    await make_large(shop)
    client = await shop.anonymous()
    for name in await names(client, 2 * PER_LIST):
        await client.swipe((await client.product(name))["id"], "LEFT")
    swiped_all = (await client.feed(first=100))["nodes"]
    assert len(swiped_all) == 50 - 2 * PER_LIST


async def test_what_is_swiped_meanwhile_is_left_out_and_the_rest_stays(shop: Shop) -> None:
    client = await taste(shop)
    await make_large(shop)
    whole = places(await walk(client, 3))
    first = await client.feed(first=3)
    for position in (1, 3, 6):
        await client.swipe(whole[position][0], "UP")
    rest = places(await walk(client, 3, after=first["pageInfo"]["endCursor"]))
    expected = [place for position, place in enumerate(whole[3:], 3) if position not in (3, 6)]
    assert rest[:6] == expected[:6]


async def test_a_new_model_does_not_change_a_feed_that_is_being_read(shop: Shop) -> None:
    client = await taste(shop)
    await make_large(shop)
    whole = places(await walk(client, 4))
    cursor = (await client.feed(first=4))["pageInfo"]["endCursor"]
    await shop.owner.execute("update products set feed_popularity = 1 - feed_popularity")
    await shop.owner.execute("select private.refresh_model()")
    assert places(await walk(client, 4, after=cursor)) == whole[4:]


async def test_a_filter_is_answered_from_its_own_lists_and_in_full(shop: Shop) -> None:
    client = await taste(shop)
    small = places((await client.feed(first=100, filter={"categorySlug": "party"}))["nodes"])
    await make_large(shop)
    assert places((await client.feed(first=100, filter={"categorySlug": "party"}))["nodes"]) == small
    first = await client.feed(first=2, filter={"tags": ["together"]})
    assert {node["product"]["category"]["slug"] for node in first["nodes"]} == {"party"}


async def test_gifts_and_similar_products_of_a_large_catalogue(shop: Shop) -> None:
    client = shop.client()
    wishes = {"traits": ["CREATIVE"], "occasion": "birthday", "age": 30}
    small = (await client.ask(GIFTS, input=wishes, first=3))["giftFinder"]["nodes"]
    product = (await client.product("Camping 1"))["id"]
    alike = (await client.ask(SIMILAR, id=product))["product"]["similar"]
    await make_large(shop)
    assert (await client.ask(GIFTS, input=wishes, first=3))["giftFinder"]["nodes"] == small
    found = (await client.ask(SIMILAR, id=product))["product"]["similar"]
    assert len(found) >= PER_LIST
    scores = [node["score"] for node in found]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] <= alike[0]["score"]
    exact = {node["product"]["id"]: node["score"] for node in alike}
    assert all(node["score"] == exact.get(node["product"]["id"], node["score"]) for node in found)
    assert set(exact) & {node["product"]["id"] for node in found}


async def test_a_product_written_by_hand_is_a_candidate_at_once(shop: Shop) -> None:
    await make_large(shop)
    admin = shop.client(shop.token(await shop.owner.fetchval("insert into public.profiles default values returning id"),
                                   app_metadata={"role": "admin"}))  # fmt: skip
    made = await admin.do(
        """
        mutation { createProduct(input: {name: "New tent", price: "12", categorySlug: "camping", externalId: "new",
          retailerSlug: "north-shop", url: "https://shop.example/new", tags: ["outdoors"]}) {
          product { id } userErrors { message } } }
        """
    )
    assert made["product"]["id"]
    new = await shop.owner.fetchval("select id from public.products where external_id = 'new'")
    found = await lists(shop)
    assert {name for name, products in found.items() if new in products} >= {"popular", "tag:outdoors"}
