"""Rows as nobody but the owner of a table can write them: what is malformed is left out, and the answer is whole."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Shop

ME = """{ me {
  statedPreferences createdAt
  swipes { nodes { createdAt } }
  personality { primaryType secondaryTypes scores { trait score } lastAssessmentAt
    history { nodes { scores { trait score } takenAt } } }
  preferences { categories { slug } brands { slug } styles { slug } minPrice { amount } totalSwipes updatedAt }
} }"""
FEED = "{ recommendations(first: 3) { nodes { id } } }"
NOT_SCORES = [
    "'[]'",
    "'null'",
    "'\"x\"'",
    """'{"creative": "x"}'""",
    """'{"creative": 1e400}'""",
    "'{\"creative\": [1]}'",
]
ENDLESS = ["'infinity'", "'-infinity'"]
MALFORMED = [
    *(("personality_profiles", "personality_scores", value) for value in NOT_SCORES),
    *(("personality_assessment_history", "personality_scores", value) for value in NOT_SCORES),
    *(("personality_profiles", "standard_errors", value) for value in NOT_SCORES),
    *(("personality_profiles", "trend", value) for value in [*NOT_SCORES, """'{"creative": {"change": "x"}}'"""]),
    *(("personality_assessment_history", "combined_scores", value) for value in NOT_SCORES),
    *(("personality_assessment_history", "quality_parts", value) for value in NOT_SCORES),
    *(("personality_profiles", "last_assessment_at", value) for value in ENDLESS),
    *(("personality_assessment_history", "assessment_timestamp", value) for value in ENDLESS),
    *(("swipes", "created_at", value) for value in ENDLESS),
    *(("profiles", "created_at", value) for value in ENDLESS),
    ("personality_profiles", "secondary_types", "array['unknown', null]"),
]


async def planted(shop: Shop, table: str, column: str, value: str) -> Any:
    """A person with a swipe and a quiz, one of whose rows is malformed."""
    visitor = await shop.anonymous()
    await visitor.swipe((await visitor.product("Books 1"))["id"])
    await visitor.take_quiz({"cre"})
    await shop.owner.execute(f"alter table public.{table} disable trigger user")
    await shop.owner.execute(f"update public.{table} set {column} = {value}")
    await shop.owner.execute(f"alter table public.{table} enable trigger user")
    return visitor


@pytest.mark.parametrize(("table", "column", "value"), MALFORMED)
async def test_me_answers_whatever_a_row_holds(shop: Shop, table: str, column: str, value: str) -> None:
    visitor = await planted(shop, table, column, value)
    me = (await visitor.ask(ME))["me"]
    assert me["preferences"]["totalSwipes"] == 1
    assert me["personality"]["primaryType"] == "CREATIVE"


@pytest.mark.parametrize("value", NOT_SCORES)
async def test_a_feed_is_made_whatever_an_assessment_holds(shop: Shop, value: str) -> None:
    visitor = await planted(shop, "personality_assessment_history", "personality_scores", value)
    assert len((await visitor.ask(FEED))["recommendations"]["nodes"]) == 3


async def test_what_is_well_formed_beside_it_is_there(shop: Shop) -> None:
    scores = """'{"creative": 80, "social": "x", "practical": 1e400}'"""
    visitor = await planted(shop, "personality_profiles", "personality_scores", scores)
    assert (await visitor.ask(ME))["me"]["personality"]["scores"] == [{"trait": "CREATIVE", "score": 80.0}]
