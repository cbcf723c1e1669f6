"""What each column of the personality mappings does to the order of products, and the match that follows from them."""

from __future__ import annotations

import json
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db import reference
from domain.personality import TRAITS
from services import housekeeping
from tests.catalogue import fill_catalogue
from tests.conftest import Shop
from tests.first_feeds import feed_of, person

BOLD = dict.fromkeys(TRAITS, 50.0) | {"adventurous": 95.0}
MATCH = "query ($id: ID!) { product(id: $id) { personalityMatch { match terms { trait contribution } } } }"


@pytest.fixture
async def catalogue(owner: asyncpg.Connection[Any]) -> asyncpg.Connection[Any]:
    await fill_catalogue(owner)
    return owner


async def order(owner: asyncpg.Connection[Any]) -> list[str]:
    """The kinds and numbers of products as somebody adventurous is shown them by a new model."""
    await owner.execute("select private.refresh_model()")
    return await shown_order(owner)


async def shown_order(owner: asyncpg.Connection[Any]) -> list[str]:
    shown = await feed_of(owner, await person(owner, BOLD), 50)
    names = dict(await owner.fetch("select id, name from public.products"))
    return [names[product] for product in shown]


async def set_mapping(owner: asyncpg.Connection[Any], kind: str, assignment: str) -> None:
    """Changes the one row of adventurous people and this kind of gift."""
    done = await owner.execute(
        f"update public.personality_gift_mappings set {assignment} where personality_type = 'adventurous'"
        " and taxonomy_id = (select id from public.gift_categories where slug = $1)",
        f"test-{kind}",
    )
    assert done == "UPDATE 1"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("recommendation_weight = 0.8", "recommendation_weight = -0.8"),
        ("recommendation_weight = 1, confidence_score = 1", "confidence_score = 0"),
        ("recommendation_weight = 1, evidence_strength = 'high'", "evidence_strength = 'low'"),
        ("recommendation_weight = 1, price_range_modifier = '{}'", "price_range_modifier = '{\"low\": -1}'"),
        ("recommendation_weight = 1, price_range_modifier = '{}'", "price_range_modifier = '{\"high\": -1}'"),
    ],
)
async def test_a_column_of_a_mapping_changes_an_order(
    catalogue: asyncpg.Connection[Any], before: str, after: str
) -> None:
    """Books against camping: their tags say nothing to somebody adventurous, so that one row decides."""
    await catalogue.execute(
        "delete from public.personality_tag_mappings;"
        " update public.products set price_minor = 100 where name = 'Books 1';"
        " update public.products set price_minor = 100000 where name = 'Books 2'"
    )
    await set_mapping(catalogue, "camping", "recommendation_weight = 0.8")
    await set_mapping(catalogue, "books", before)
    first = await order(catalogue)
    await set_mapping(catalogue, "books", after)
    second = await order(catalogue)
    assert first != second
    moved = "Books 2" if "high" in after and "low" not in after else "Books 1"
    assert second.index(moved) > first.index(moved)


async def test_a_load_of_the_reference_data_shows_the_edits_of_an_administrator(
    catalogue: asyncpg.Connection[Any],
) -> None:
    first = await order(catalogue)
    await set_mapping(catalogue, "camping", "recommendation_weight = -1")
    assert await shown_order(catalogue) == first, "by the model before the edit"
    await reference.load(catalogue)
    assert (await shown_order(catalogue)).index("Camping 1") > first.index("Camping 1")


async def test_the_service_builds_a_model_after_an_edit(shop: Shop) -> None:
    for table in ("products", "personality_gift_mappings", "personality_tag_mappings"):
        await shop.owner.execute(
            f"alter table public.{table} disable trigger user;"
            f" update public.{table} set updated_at = now() - interval '3 hours';"
            f" alter table public.{table} enable trigger user"
        )
    await shop.owner.execute("update public.recommendation_models set created_at = now() - interval '2 hours'")
    assert await housekeeping.refresh_model(shop.services) == 0
    await set_mapping(shop.owner, "camping", "recommendation_weight = -1")
    assert await housekeeping.refresh_model(shop.services) == 1


async def test_the_weight_of_a_tag_changes_an_order(catalogue: asyncpg.Connection[Any]) -> None:
    first = await order(catalogue)
    await catalogue.execute(
        "insert into public.personality_tag_mappings (personality_type, tag, weight) values ('adventurous', 'art', 1)"
        " on conflict (personality_type, tag) do update set weight = 1"
    )
    second = await order(catalogue)
    assert second.index("Painting 1") < first.index("Painting 1")


async def test_the_nearest_mapping_above_counts(catalogue: asyncpg.Connection[Any]) -> None:
    first = await order(catalogue)
    await catalogue.execute(
        """
        with above as (insert into public.gift_categories (slug, name) values ('above', 'Above') returning id),
        mapped as (
          insert into public.personality_gift_mappings (personality_type, taxonomy_id, recommendation_weight,
            evidence_strength, confidence_score)
          select 'adventurous', id, 1, 'high', 1 from above)
        update public.gift_categories g set parent_id = a.id from above a where g.slug = 'test-painting'
        """
    )
    assert (await order(catalogue)).index("Painting 1") == first.index("Painting 1"), "its own mapping is nearer"
    await catalogue.execute(
        "delete from public.personality_gift_mappings m using public.gift_categories g"
        " where g.id = m.taxonomy_id and g.slug = 'test-painting'"
    )
    assert (await order(catalogue)).index("Painting 1") < first.index("Painting 1")


async def gifts(shop: Shop, **wanted: Any) -> list[str]:
    query = "query ($input: GiftFinderInput!) { giftFinder(input: $input, first: 10) { nodes { product { name } } } }"
    nodes = (await shop.client().ask(query, input=wanted))["giftFinder"]["nodes"]
    return [node["product"]["name"].split()[0] for node in nodes]


async def test_the_relevance_on_an_occasion_changes_an_order(shop: Shop) -> None:
    assert await gifts(shop, traits=["ADVENTUROUS"], occasion="midsummer") == ["Camping"] * 10
    await set_mapping(shop.owner, "camping", "occasion_relevance = '{\"midsummer\": 0}'")
    await shop.owner.execute("select private.refresh_model()")
    assert (await gifts(shop, traits=["ADVENTUROUS"], occasion="midsummer")).count("Camping") < 5
    assert await gifts(shop, traits=["ADVENTUROUS"]) == ["Camping"] * 10, "without the occasion nothing changes"


async def test_a_rule_of_a_gift_category_changes_an_order(shop: Shop) -> None:
    await shop.owner.execute(
        "insert into public.gift_context_categories (kind, value, taxonomy_id, weight)"
        " select 'occasion', 'midsummer', id, 1 from public.gift_categories where slug = 'test-tools'"
    )
    assert await gifts(shop, occasion="midsummer") == ["Tools"] * 10


SHARES = st.integers(-1000, 1000).map(lambda thousandths: thousandths / 1000)
FEATURES = st.lists(SHARES, min_size=5, max_size=5).map(
    lambda x: [value / max(1.0, sum(map(abs, x)) / 2) for value in x]
)
LEANINGS = st.lists(SHARES, min_size=5, max_size=5)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(leanings=LEANINGS, features=FEATURES, trait=st.integers(0, 4), more=st.floats(0, 2))
async def test_a_match_is_bounded_and_monotone_in_each_trait(
    owner: asyncpg.Connection[Any], leanings: list[float], features: list[float], trait: int, more: float
) -> None:
    raised = [min(1.0, x + more) if i == trait else x for i, x in enumerate(leanings)]
    one, other = [await owner.fetchval("select private.match_of($1, $2)", x, features) for x in (leanings, raised)]
    assert 0 <= one <= 1
    assert (other - one) * features[trait] >= -1e-12
    terms = [row[1] for row in await owner.fetch("select * from private.match_terms($1, $2)", leanings, features)]
    assert one == pytest.approx(0.5 + sum(terms), abs=1e-9)


async def test_leanings_grow_with_the_confidence(owner: asyncpg.Connection[Any]) -> None:
    scores = json.dumps({"adventurous": 100, "practical": 0, "social": None, "unknown": 100})
    for confidence, share in ((0.0, 0.05), (0.25, 0.5), (0.5, 1), (1.0, 1), (None, 1)):
        found = await owner.fetchval("select private.leanings($1::text::jsonb, $2::float8)", scores, confidence)
        assert found == [share, 0, -share, 0, 0]


async def test_the_caller_sees_how_a_product_suits_them(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    camping = (await anna.product("Camping 1"))["id"]
    assert (await anna.ask(MATCH, id=camping))["product"]["personalityMatch"] is None, "no assessment"
    await anna.take_quiz({"adv"})
    found = (await anna.ask(MATCH, id=camping))["product"]["personalityMatch"]
    assert 0.5 < found["match"] == pytest.approx(0.5 + sum(term["contribution"] for term in found["terms"]))
    assert {term["trait"] for term in found["terms"]} == {trait.upper() for trait in TRAITS}
    assert found["terms"][0]["trait"] == "ADVENTUROUS"
    for other in (ben, shop.client()):
        assert (await other.ask(MATCH, id=camping))["product"]["personalityMatch"] is None, "anna's is hers"
    party = (await anna.ask(MATCH, id=(await anna.product("Party 1"))["id"]))["product"]["personalityMatch"]
    assert party["match"] < found["match"]


async def test_a_product_that_the_model_does_not_know_is_matched_too(shop: Shop) -> None:
    anna = await shop.anonymous()
    await anna.take_quiz({"adv"})
    product = (await anna.product("Camping 1"))["id"]
    known = (await anna.ask(MATCH, id=product))["product"]["personalityMatch"]["match"]
    await shop.owner.execute("delete from public.product_features")
    assert (await anna.ask(MATCH, id=product))["product"]["personalityMatch"]["match"] == pytest.approx(known, abs=1e-6)
