"""What people say of themselves: checked where it has a meaning, and followed by their feed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from domain import ids
from tests.client import Client
from tests.conftest import Shop
from tests.http.test_recommendations import kinds, whole_feed

SAY = """
mutation ($said: JSON!) {
  updateProfile(input: {statedPreferences: $said}) {
    profile { statedPreferences } userErrors { code field message }
  }
}
"""
PRICES = "{ recommendations(first: 100) { nodes { product { price { amount currencyCode } } } } }"


@pytest.fixture
async def anna(shop: Shop) -> Client:
    return await shop.anonymous()


async def affinities(shop: Shop, client: Client) -> dict[tuple[str, str], float]:
    """By kind and name."""
    rows = await shop.owner.fetch(
        "select a.kind, coalesce(c.slug, b.slug, a.key) as name, a.score from private.stated_affinities($1) a"
        " left join public.categories c on a.kind = 'category' and c.id::text = a.key"
        " left join public.brands b on a.kind = 'brand' and b.id::text = a.key",
        ids.decode_as("Profile", await client.my_id()),
    )
    found = {(row["kind"], row["name"]): row["score"] for row in rows}
    assert len(found) == len(rows)
    return found


async def test_it_is_kept_as_it_was_said(anna: Client) -> None:
    said = {
        "favouriteCategories": ["books"],
        "avoidCategories": ["party"],
        "brands": ["alder"],
        "tags": ["art"],
        "priceRange": {"min": 10, "max": "19.50"},
        "currency": "GBP",
        "likes": ["tea"],
    }
    assert (await anna.do(SAY, said=said))["profile"]["statedPreferences"] == said


@pytest.mark.parametrize(
    ("said", "field", "message"),
    [
        ({"favouriteCategories": ["books", "bookz"]}, "favouriteCategories", "no category with the slug “bookz”"),
        ({"avoidCategories": ["Books"]}, "avoidCategories", "no category with the slug “Books”"),
        ({"brands": ["alder", "elder"]}, "brands", "no brand with the slug “elder”"),
        ({"tags": "art"}, "tags", "list of texts"),
    ],
)
async def test_what_cannot_be_followed_is_refused(anna: Client, said: dict[str, Any], field: str, message: str) -> None:
    error = await anna.refusal(SAY, said=said)
    assert (error["code"], error["field"]) == ("INVALID", ["statedPreferences", field])
    assert message in error["message"]


async def test_avoided_categories_are_not_in_the_feed_and_come_back(anna: Client) -> None:
    assert {"party", "tools"} < set(kinds(await whole_feed(anna)))
    await anna.do(SAY, said={"avoidCategories": ["party", "tools"]})
    feed = await whole_feed(anna)
    assert len(feed) == 30
    assert set(kinds(feed)).isdisjoint({"party", "tools"})
    await anna.do(SAY, said={})
    assert len(await whole_feed(anna)) == 50


async def test_a_person_who_avoids_a_category_avoids_all_below_it(shop: Shop, anna: Client) -> None:
    await anna.do(SAY, said={"avoidCategories": ["all-gifts"], "favouriteCategories": ["books"]})
    assert await whole_feed(anna) == []
    found = await affinities(shop, anna)
    assert set(found.values()) == {-1.0}
    assert {("category", "books"), ("category", "all-gifts")} < found.keys()


async def test_favourites_are_affinities_that_ranking_reads(shop: Shop, anna: Client) -> None:
    await anna.do(
        SAY,
        said={
            "favouriteCategories": ["all-gifts"],
            "avoidCategories": ["party"],
            "brands": ["alder", "alder"],
            "tags": ["art", "art"],
        },
    )
    found = await affinities(shop, anna)
    assert found.pop(("category", "party")) == -1
    assert set(found) == {
        *(("category", slug) for slug in ("all-gifts", "camping", "books", "tools", "painting")),
        ("brand", "alder"),
        ("tag", "art"),
    }
    assert set(found.values()) == {0.5}  # as the model says


async def test_its_strength_is_data_of_the_model(shop: Shop, anna: Client) -> None:
    await anna.do(SAY, said={"tags": ["art"]})
    await shop.owner.execute(
        """update public.recommendation_models set parameters = jsonb_set(parameters, '{stated,favourite}', '0.25')"""
    )
    assert await affinities(shop, anna) == {("tag", "art"): 0.25}


async def prices(client: Client) -> list[Decimal]:
    nodes = (await client.ask(PRICES))["recommendations"]["nodes"]
    assert {node["product"]["price"]["currencyCode"] for node in nodes} <= {"GBP"}
    return [Decimal(node["product"]["price"]["amount"]) for node in nodes]


@pytest.mark.parametrize(
    ("said", "low", "high"),
    [
        ({"min": "12", "max": 15}, 12, 15),
        ({"min": 12.5}, 13, 19),
        ({"max": "14.99"}, 10, 14),
        ({}, 10, 19),
    ],
)
async def test_the_feed_keeps_to_the_price_range(anna: Client, said: dict[str, Any], low: int, high: int) -> None:
    await anna.do(SAY, said={"priceRange": said})
    found = await prices(anna)
    assert (min(found), max(found)) == (low, high)


async def test_prices_of_the_request_come_before_stated_ones(anna: Client) -> None:
    await anna.do(SAY, said={"priceRange": {"max": 12}})
    feed = await anna.feed(first=100, filter={"minPrice": "18"})
    assert len(feed["nodes"]) == 10


async def test_prices_in_another_currency_are_not_compared(anna: Client) -> None:
    await anna.do(SAY, said={"priceRange": {"max": 12}, "currency": "EUR"})
    assert len(await prices(anna)) == 50


async def test_what_was_stored_in_another_shape_has_no_effect(shop: Shop, anna: Client) -> None:
    for odd in (
        '{"avoidCategories": "party", "favouriteCategories": {"a": 1}, "brands": [1, null, ["x"]], "tags": 7}',
        '{"priceRange": {"min": "NaN", "max": [1]}, "currency": {"GBP": 1}}',
        '{"priceRange": {"min": "20", "max": "10"}}',
        '{"priceRange": "cheap", "currency": "XXX"}',
        '{"priceRange": {"min": 1e30, "max": "1_0"}}',
    ):
        await shop.owner.execute("update public.profiles set preferences = $1::jsonb", odd)
        assert len(await whole_feed(anna)) == 50
        assert await affinities(shop, anna) == {}


async def test_nobody_elses_feed_follows_it(shop: Shop, anna: Client) -> None:
    await anna.do(SAY, said={"avoidCategories": ["party"]})
    assert len(await whole_feed(await shop.anonymous())) == len(await whole_feed(shop.client())) == 50
