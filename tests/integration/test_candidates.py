"""Feeds of a large catalogue: ranked from the lists of the model. Here lists hold 4 products, and windows 5."""

from __future__ import annotations

import pytest

from resolvers import feeds
from tests.client import Client
from tests.conftest import Shop
from tests.integration.test_recommendations import GIFTS, SIMILAR, places, taste, walk

LENGTH = 4
SHORTEN = f"""
do $$
declare
  newest integer := (select max(version) from public.recommendation_models);
begin
  update public.recommendation_models
    set parameters = jsonb_set(parameters, '{{lists,length}}', '{LENGTH}')
    where version = newest;
  perform private.fill_lists(newest);
  update public.recommendation_models set product_count = 5000 where version = newest;  -- more than are all ranked
end
$$
"""
LIST = """
select array_agg(p.name order by l.rank) from public.model_lists l join public.products p on p.number = l.number
where l.model_version = (select max(version) from public.recommendation_models) and l.list = private.facet($1, $2)
"""


@pytest.fixture(autouse=True)
def short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "WINDOW", 5)


async def make_large(shop: Shop) -> None:
    """A catalogue of which the lists hold a part only."""
    await shop.owner.execute(SHORTEN)


async def listed(shop: Shop, kind: str, key: str) -> list[str]:
    return list(await shop.owner.fetchval(LIST, kind, key) or [])


async def names(client: Client, size: int) -> list[str]:
    return [node["product"]["name"] for node in (await client.feed(first=size))["nodes"]]


async def test_each_list_holds_the_best_of_its_kind(shop: Shop) -> None:
    await make_large(shop)
    best = "select name from public.products where {} order by popularity desc, number limit $1"
    for kind, key, condition in (
        ("list", "popular", "true"),
        ("tag", "outdoors", "'outdoors' = any (tags)"),
    ):
        rows = await shop.owner.fetch(best.format(condition), LENGTH)
        assert await listed(shop, kind, key) == [row["name"] for row in rows]
    category = await shop.owner.fetchval("select id::text from public.categories where slug = 'camping'")
    assert len(await listed(shop, "category", category)) == LENGTH
    assert len(await listed(shop, "list", "new")) == LENGTH
    assert {name.split()[0] for name in await listed(shop, "+", "adventurous")} == {"Camping"}
    assert "Camping" not in {name.split()[0] for name in await listed(shop, "-", "adventurous")}


@pytest.mark.parametrize("size", [1, 5, 7])
async def test_pages_have_every_product_once_the_candidates_first(shop: Shop, size: int) -> None:
    client = await taste(shop)
    small = dict(places(await walk(client, 45)))
    await make_large(shop)
    seen = places(await walk(client, size))
    assert sorted(product for product, _ in seen) == sorted(small)
    best = sorted(small, key=lambda product: -small[product])[:5]
    assert {product for product, _ in seen[:10]} >= set(best[:3])


async def test_restocked_products_of_a_window_are_not_lost(shop: Shop) -> None:
    client = await taste(shop)
    await make_large(shop)
    names = [node["product"]["name"] for node in await walk(client, 45)]
    await shop.owner.execute("update products set in_stock = false where name = any ($1)", names[:3])
    page = await client.feed(first=2)
    await shop.owner.execute("update products set in_stock = true")
    rest = await walk(client, 7, after=page["pageInfo"]["endCursor"])
    shown = [node["product"]["name"] for node in (*page["nodes"], *rest)]
    assert len(shown) == len(set(shown))
    assert set(names[3:]) <= set(shown)


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
    for name in await names(client, 2 * LENGTH):
        await client.swipe((await client.product(name))["id"], "LEFT")
    swiped_all = (await client.feed(first=100))["nodes"]
    assert len(swiped_all) == 50 - 2 * LENGTH


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
    assert dict(places((await client.feed(first=100, filter={"categorySlug": "party"}))["nodes"])) == dict(small)
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
    assert len(found) >= LENGTH
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
    assert (await listed(shop, "tag", "outdoors"))[0] == "New tent"
    assert (await listed(shop, "list", "new"))[0] == "New tent"
    assert "New tent" in [node["product"]["name"] for node in await walk(shop.client(), 5)]
