"""How a product suits a personality: the function of the documents, and that the ranking uses the same formula."""

from __future__ import annotations

import json
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.personality import TRAITS
from tests.catalogue import KINDS, fill_catalogue
from tests.client import Client
from tests.conftest import Shop

MATCH = "select public.calculate_personality_product_match($1::jsonb, $2::jsonb, $3::jsonb)::float8"
BOLD = {"adventurous": 100, "intellectual": 50, "practical": 0, "creative": 50, "social": 50}
TIMID = {trait: 100 - score for trait, score in BOLD.items()}
CAMPING = {"adventurous": 1, "intellectual": 0, "practical": -1, "creative": 0, "social": 0}
OUTCOME = "select personality_match_score from public.personality_recommendations"
FEEDBACK = """
mutation ($id: ID!) {
  sendRecommendationFeedback(input: {recommendationId: $id, kind: HELPFUL}) { userErrors { code } }
}
"""
GIFTS = "query { giftFinder(input: {traits: [SOCIAL]}, first: 1) { nodes { id product { id } } } }"


@pytest.fixture
async def catalogue(owner: asyncpg.Connection[Any]) -> asyncpg.Connection[Any]:
    await fill_catalogue(owner)
    return owner


async def match(owner: asyncpg.Connection[Any], scores: Any, tags: Any = None, mappings: Any = None) -> float:
    given = (None if value is None else json.dumps(value) for value in (scores, tags, mappings))
    found: float = await owner.fetchval(MATCH, *given)
    return found


async def test_the_product_decides(catalogue: asyncpg.Connection[Any]) -> None:
    """The documents' function gave every product the same score."""
    found = {tag: await match(catalogue, BOLD, [tag]) for _, _, tag in KINDS.values()}
    assert found["outdoors"] > found["reading"] == 0.5 > found["repair"]
    assert await match(catalogue, BOLD, ["outdoors"], CAMPING) > found["outdoors"]


async def test_a_neutral_person_finds_everything_neutral(catalogue: asyncpg.Connection[Any]) -> None:
    for scores in (dict.fromkeys(TRAITS, 50), {}, None, [], "x", 7):
        assert await match(catalogue, scores, ["outdoors"], CAMPING) == 0.5


async def test_an_opposite_person_gives_the_opposite_score(catalogue: asyncpg.Connection[Any]) -> None:
    bold, timid = [await match(catalogue, person, ["outdoors"], CAMPING) for person in (BOLD, TIMID)]
    assert bold > 0.75
    assert timid < 0.25
    assert bold + timid == pytest.approx(1)


async def test_a_key_that_is_no_trait_is_not_looked_at(catalogue: asyncpg.Connection[Any]) -> None:
    """The documents' function raised "case not found" once a swipe had added behavioral_consistency."""
    plain = await match(catalogue, BOLD, ["outdoors"], CAMPING)
    more = BOLD | {"behavioral_consistency": 0.01, "unknown": 100, "": None}
    assert await match(catalogue, more, ["outdoors", "unknown"], CAMPING | {"unknown": 1}) == plain


@pytest.mark.parametrize("nothing", [None, "NaN", "Infinity", "100", True, [], {}, {"adventurous": 100}], ids=str)
async def test_a_trait_that_is_no_number_says_nothing(catalogue: asyncpg.Connection[Any], nothing: Any) -> None:
    """The documents' function gave a perfect score for NULL and NaN."""
    assert await match(catalogue, {"adventurous": nothing}, ["outdoors"], CAMPING) == 0.5
    without = await match(catalogue, {"practical": 0}, ["outdoors"], CAMPING)
    assert await match(catalogue, {"practical": 0, "adventurous": nothing}, ["outdoors"], CAMPING) == without


@pytest.mark.parametrize(("beyond", "bound"), [(1e300, 100), (101, 100), (-1, 0), (-1e300, 0)])
async def test_scores_beyond_their_bounds_count_as_the_bound(
    catalogue: asyncpg.Connection[Any], beyond: float, bound: float
) -> None:
    of_bound = await match(catalogue, {"adventurous": bound}, ["outdoors"], CAMPING)
    assert of_bound != 0.5
    assert await match(catalogue, {"adventurous": beyond}, ["outdoors"], CAMPING) == of_bound


async def test_numbers_no_double_can_hold_are_bounded_too(catalogue: asyncpg.Connection[Any]) -> None:
    huge = '{"adventurous": 1e9999, "alignment_score": 1e9999, "outdoors": -1e9999}'
    found = await catalogue.fetchval(MATCH, huge, huge, huge)
    assert found == await match(
        catalogue, {"adventurous": 100}, {"outdoors": -1}, {"adventurous": 1, "alignment_score": 1}
    )


async def test_numbers_too_small_for_a_double_are_0(catalogue: asyncpg.Connection[Any]) -> None:
    tiny = '{"adventurous": 1e-400, "alignment_score": 1e-9999, "outdoors": -1e-400}'
    found = await catalogue.fetchval(MATCH, tiny, tiny, tiny)
    assert found == await match(
        catalogue, {"adventurous": 0}, {"outdoors": 0}, {"adventurous": 0, "alignment_score": 0}
    )


async def test_tags_are_names_or_weights(catalogue: asyncpg.Connection[Any]) -> None:
    whole = await match(catalogue, BOLD, ["outdoors"])
    assert await match(catalogue, BOLD, {"outdoors": 1}) == whole
    assert await match(catalogue, BOLD, ["outdoors", "outdoors"]) == whole, "named twice counts once"
    assert 0.5 < await match(catalogue, BOLD, {"outdoors": 0.5}) < whole
    assert await match(catalogue, BOLD, {"outdoors": -1}) < 0.5
    for nothing in (None, "outdoors", 7, [["outdoors"], None, 1], {"outdoors": "1"}):
        assert await match(catalogue, BOLD, nothing) == 0.5


async def test_the_alignment_of_the_category_makes_a_fifth(catalogue: asyncpg.Connection[Any]) -> None:
    plain = await match(catalogue, BOLD, ["outdoors"])
    for alignment in (0, 0.5, 1, 7):
        found = await match(catalogue, BOLD, ["outdoors"], {"alignment_score": alignment})
        assert found == pytest.approx(0.8 * plain + 0.2 * min(alignment, 1), abs=1e-4)
    for nothing in (None, "NaN", "1"):
        assert await match(catalogue, BOLD, ["outdoors"], {"alignment_score": nothing}) == plain


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(["NaN", "outdoors"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*TRAITS, "outdoors", "art", "alignment_score"]), inner, max_size=6)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scores=JSON, tags=JSON, mappings=JSON)
async def test_whatever_is_given_the_score_lies_between_0_and_1(
    catalogue: asyncpg.Connection[Any], scores: Any, tags: Any, mappings: Any
) -> None:
    assert 0 <= await match(catalogue, scores, tags, mappings) <= 1


async def test_the_models_know_what_the_function_says(catalogue: asyncpg.Connection[Any]) -> None:
    """One formula: the traits kept with a model and the function's own agree for every product."""
    differing = await catalogue.fetch(
        """
        select p.name from public.products p join public.product_features f on f.product_id = p.id
        where abs(0.5 + 0.25 * (f.adventurous - f.practical) - public.calculate_personality_product_match(
            $1, to_jsonb(p.tags), private.category_alignments(p.category_id))) > 1e-4
        """,
        json.dumps(BOLD),
    )
    assert differing == []
    assert await catalogue.fetchval("select count(distinct adventurous) from public.product_features") > 2


async def act_on(client: Client, recommendation: str) -> None:
    await client.do(FEEDBACK, id=recommendation)


async def expected(shop: Shop) -> float:
    """What the function says of the only outcome there is."""
    found: float = await shop.owner.fetchval(
        """
        select public.calculate_personality_product_match(
          q.personality_scores, to_jsonb(p.tags), private.category_alignments(p.category_id))::float8
        from public.personality_recommendations r
        join public.products p on p.id = r.product_id
        join public.personality_profiles q on q.user_id = r.user_id
        """
    )
    return found


async def test_an_outcome_of_a_feed_keeps_the_match_it_was_ranked_with(shop: Shop) -> None:
    client = await shop.anonymous()
    await client.take_quiz({"adv"})
    await act_on(client, (await client.feed(first=1))["nodes"][0]["id"])
    assert await shop.owner.fetchval(OUTCOME) == pytest.approx(await expected(shop), abs=1e-4)
    assert await expected(shop) > 0.7


async def test_an_outcome_of_a_search_for_somebody_else_is_matched_with_oneself(shop: Shop) -> None:
    client = await shop.anonymous()
    await client.take_quiz({"adv"})
    await act_on(client, (await client.ask(GIFTS))["giftFinder"]["nodes"][0]["id"])
    assert await shop.owner.fetchval(OUTCOME) == pytest.approx(await expected(shop), abs=1e-6)
    assert await expected(shop) < 0.5


async def test_an_outcome_of_an_anonymous_recommendation_is_matched_with_the_person_who_acts(shop: Shop) -> None:
    shown = (await shop.client().feed(first=1))["nodes"][0]["id"]
    client = await shop.anonymous()
    await client.take_quiz({"adv"})
    await act_on(client, shown)
    assert await shop.owner.fetchval(OUTCOME) == pytest.approx(await expected(shop), abs=1e-4) != 0.5
