"""The quiz and what it says of somebody."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import msgspec
import pytest

from domain import ids
from tests.client import QUIZ, QUIZ_ITEMS, SUBMIT, Client
from tests.conftest import Shop
from tests.ledger import awin, report

PERSONALITY = """
query ($first: Int, $after: String) {
  me {
    personality {
      id primaryType secondaryTypes confidence assessmentMethod questionsAnswered lastAssessmentAt segment
      reassessmentSuggestedAt
      scores { trait percentile standardError explanation }
      trend { trait change standardError }
      history(first: $first, after: $after) {
        totalCount pageInfo { hasNextPage endCursor }
        nodes {
          id primaryType secondaryTypes trigger questionsAnswered completionTimeSeconds quality confidence share
          qualityParts { pace variety consistency completeness } isProvisional swipes purchases behavioralConsistency
          takenAt qualityNote scores { trait percentile standardError } combined { trait percentile standardError }
        }
      }
    }
  }
}
"""
TRAITS = ["ADVENTUROUS", "INTELLECTUAL", "PRACTICAL", "CREATIVE", "SOCIAL"]


async def personality(client: Client, **variables: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await client.ask(PERSONALITY, **variables))["me"]["personality"]
    return found


async def answers(client: Client, value: int = 4) -> list[dict[str, Any]]:
    """The same answer to every question."""
    quiz = (await client.ask(QUIZ))["quiz"]
    return [{"questionId": question["id"], "value": value} for question in quiz["questions"]]


def percentiles(scores: list[dict[str, Any]]) -> dict[str, float]:
    return {score["trait"]: score["percentile"] for score in scores}


async def test_no_personality_before_the_first_quiz(shop: Shop) -> None:
    assert await personality(await shop.anonymous()) is None


async def test_a_quiz_makes_a_personality(shop: Shop) -> None:
    anna = await shop.anonymous()
    payload = await anna.take_quiz({"adv", "soc"}, completionTimeSeconds=120)
    found = await personality(anna)
    row = await shop.owner.fetchrow("select * from public.personality_profiles")
    assert row is not None
    for score in found["scores"]:
        high = score["trait"] in {"ADVENTUROUS", "SOCIAL"}
        assert (score["percentile"] > 95) if high else (score["percentile"] < 5)
        assert score["explanation"].startswith("In the top" if high else "In the lower")
        assert 0 < score["standardError"] < 30
    assert [score["trait"] for score in found["scores"]] == TRAITS
    assert percentiles(payload["personality"]["scores"]) == percentiles(found["scores"])
    assert found["id"] == payload["personality"]["id"] == ids.encode("PersonalityProfile", row["id"])
    assert {found["primaryType"], *found["secondaryTypes"]} == {"ADVENTUROUS", "SOCIAL"}
    assert {row["primary_type"], *row["secondary_types"]} == {"adventurous", "social"}
    assert msgspec.json.decode(row["personality_scores"])["social"] == percentiles(found["scores"])["SOCIAL"]
    assert (found["questionsAnswered"], found["assessmentMethod"]) == (25, "QUIZ")
    assert found["confidence"] == row["confidence_level"] > 0.5
    assert datetime.fromisoformat(found["lastAssessmentAt"]) == row["last_assessment_at"]
    assert (found["segment"], found["trend"], payload["note"]) == ("adventurous+social", [], None)
    lean = msgspec.json.decode(row["feature_vector"])
    assert lean["adventurous"] > 0.5 > -0.5 > lean["creative"]


async def test_explanations_and_notes_in_another_language(shop: Shop) -> None:
    anna = await shop.anonymous()
    document = SUBMIT.replace("note", 'note(locale: "de-AT")')
    payload = await anna.do(document, input=await hasty(anna))
    assert payload["note"].startswith("Die Antworten kamen schneller")
    query = """
    { me { personality {
      scores { explanation(locale: "de") }
      history { nodes { qualityNote(locale: "de") scores { explanation(locale: "xx") } } }
    } } }
    """
    found = (await anna.ask(query))["me"]["personality"]
    assert all(any(word in s["explanation"] for word in ("plus/minus",)) for s in found["scores"])
    (assessment,) = found["history"]["nodes"]
    assert payload["note"].startswith(assessment["qualityNote"])
    assert all("give or take" in score["explanation"] for score in assessment["scores"])


async def test_an_assessment_says_what_its_row_says(shop: Shop) -> None:
    anna = await shop.anonymous()
    for number, product in enumerate(await anna.products(first=3)):
        await anna.swipe(product["id"], "RIGHT" if number else "DOWN")
    await anna.take_quiz({"cre"}, completionTimeSeconds=90, trigger="BEHAVIOR_CHANGE")
    history = (await personality(anna))["history"]
    row = await shop.owner.fetchrow("select * from public.personality_assessment_history")
    assert row is not None
    (assessment,) = history["nodes"]
    assert datetime.fromisoformat(assessment["takenAt"]) == row["assessment_timestamp"]
    assert assessment["quality"] == row["assessment_quality_score"] > 0.5
    assert assessment["confidence"] == pytest.approx(row["confidence_level"])
    assert assessment["qualityParts"] == msgspec.json.decode(row["quality_parts"])
    assert assessment["scores"] == assessment["combined"], "the only one"
    assert percentiles(assessment["scores"])["CREATIVE"] > 95
    assert (assessment["primaryType"], assessment["secondaryTypes"]) == ("CREATIVE", [])
    assert (assessment["trigger"], assessment["questionsAnswered"]) == ("BEHAVIOR_CHANGE", 25)
    assert (assessment["completionTimeSeconds"], assessment["swipes"], assessment["purchases"]) == (90, 3, 0)
    assert (assessment["share"], assessment["isProvisional"], assessment["qualityNote"]) == (1, True, None)
    assert 0 <= assessment["behavioralConsistency"] <= 1
    data = msgspec.json.decode(row["assessment_data"])
    assert (data["instrument"], data["version"], data["answers"]["cre-1"]) == ("aclue-gifts", "2.0", 5)


async def test_purchases_are_counted_once(shop: Shop) -> None:
    """Reported by a network, and said by the person."""
    anna = await shop.anonymous()
    me = ids.decode_as("Profile", await anna.my_id())
    feed = (await anna.feed(first=2))["nodes"]
    feedback = """
    mutation ($id: ID!) {
      sendRecommendationFeedback(input: {recommendationId: $id, kind: PURCHASED}) { userErrors { code } }
    }
    """
    for node in feed:
        await anna.do(feedback, id=node["id"])
    click = "mutation ($id: ID!) { createAffiliateClick(input: {productId: $id}) { userErrors { code } } }"
    await anna.do(click, id=feed[0]["product"]["id"])
    clicked = await shop.owner.fetchval("select id from public.affiliate_clicks where user_id = $1", me)
    await report(shop.services, awin("bought", "approved", click=clicked), awin("sent back", "declined", click=clicked))
    await anna.take_quiz({"cre"})
    (assessment,) = (await personality(anna))["history"]["nodes"]
    assert assessment["purchases"] == 2


async def test_quizzes_are_combined_and_all_are_kept(shop: Shop) -> None:
    anna = await shop.anonymous()
    first = await anna.take_quiz({"adv", "soc"}, trigger="PERIODIC")
    await shop.owner.execute(
        "update public.personality_assessment_history set assessment_timestamp = now() - interval '30 days'"
    )
    second = await anna.take_quiz({"adv"}, trigger="BEHAVIOR_CHANGE")
    third = await anna.take_quiz({"adv"})
    found = await personality(anna, first=2)
    assert found["primaryType"] == "ADVENTUROUS"
    assert found["id"] == first["personality"]["id"]
    assert percentiles(found["scores"])["SOCIAL"] == pytest.approx(
        percentiles(first["personality"]["scores"])["SOCIAL"] / 3, abs=2
    )
    newest, before = found["history"]["nodes"]
    assert [newest["id"], before["id"]] == [third["assessment"]["id"], second["assessment"]["id"]]
    assert (newest["combined"], newest["share"]) == (
        [{key: s[key] for key in ("trait", "percentile", "standardError")} for s in found["scores"]],
        pytest.approx(1 / 3, abs=0.01),
    )
    assert percentiles(newest["scores"])["SOCIAL"] < 5 < percentiles(newest["combined"])["SOCIAL"]
    assert [newest["trigger"], before["trigger"], first["assessment"]["trigger"]] == [
        "PERIODIC",
        "BEHAVIOR_CHANGE",
        "INITIAL",
    ]
    changes = {trend["trait"]: trend for trend in found["trend"]}
    assert changes["SOCIAL"]["change"] < -2 * changes["SOCIAL"]["standardError"] < 0
    assert changes["ADVENTUROUS"]["change"] == 0
    assert (found["history"]["totalCount"], found["history"]["pageInfo"]["hasNextPage"]) == (3, True)
    rest = await personality(anna, first=2, after=found["history"]["pageInfo"]["endCursor"])
    assert [a["id"] for a in rest["history"]["nodes"]] == [first["assessment"]["id"]]
    assert not rest["history"]["pageInfo"]["hasNextPage"]
    for variables in ({"first": -1}, {"first": 101}, {"after": "forged"}):
        assert await anna.code(PERSONALITY, **variables) == "BAD_USER_INPUT"


async def hasty(client: Client) -> dict[str, Any]:
    """Equal answers to all questions, in three seconds."""
    return {"version": "2.0", "answers": await answers(client, 3), "completionTimeSeconds": 3}


async def test_equal_answers_in_three_seconds_are_hardly_trusted(shop: Shop) -> None:
    anna = await shop.anonymous()
    payload = await anna.do(SUBMIT, input=await hasty(anna))
    assert payload["personality"]["confidence"] < 0.2
    assert payload["personality"]["primaryType"] == "BALANCED"
    assert payload["assessment"]["quality"] < 0.2
    assert "first impression" in payload["note"]
    again = await anna.do(SUBMIT, input=await hasty(anna))
    assert "first impression" in again["note"], "the earlier answers were no better"


async def test_a_hasty_retake_barely_moves_a_good_profile_and_says_so_kindly(shop: Shop) -> None:
    anna = await shop.anonymous()
    good = (await anna.take_quiz({"adv", "soc"}, completionTimeSeconds=150))["personality"]
    payload = await anna.do(SUBMIT, input={**await hasty(anna), "idempotencyKey": "hasty"})
    after = payload["personality"]
    assert after["primaryType"] == good["primaryType"]
    before = percentiles(good["scores"])
    assert all(abs(before[trait] - moved) < 3 for trait, moved in percentiles(after["scores"]).items())
    assert after["confidence"] >= good["confidence"] - 0.01
    assert "your earlier answers keep counting most" in payload["note"]
    (newest, _) = (await personality(anna))["history"]["nodes"]
    assert newest["share"] < 0.05
    assert newest["qualityNote"] == "The answers came faster than the questions can be read."
    again = await anna.do(SUBMIT, input={**await hasty(anna), "idempotencyKey": "hasty"})
    assert again["note"] == payload["note"], "of a repeat, too"


async def test_a_repeat_returns_the_first_quiz_though_its_version_is_not_current_any_more(shop: Shop) -> None:
    anna = await shop.anonymous()
    given = {"version": "2.0", "answers": await answers(anna), "idempotencyKey": "k"}
    first = await anna.do(SUBMIT, input=given)
    await shop.owner.execute("update public.quiz_versions set is_current = false")
    assert (await anna.do(SUBMIT, input=given))["assessment"]["id"] == first["assessment"]["id"]
    assert (await anna.refusal(SUBMIT, input={**given, "idempotencyKey": "l"}))["code"] == "UNAVAILABLE"


async def test_twenty_quizzes_at_once_are_taken_one_after_the_other(shop: Shop) -> None:
    """Each is combined with all before it: none is lost."""
    anna = await shop.anonymous()
    quizzes = [{"adv", "soc"}, {"adv"}, {"adv", "int"}, {"adv", "cre", "pra"}]
    await asyncio.gather(*(anna.take_quiz(quizzes[number % 4]) for number in range(20)))
    rows = await shop.owner.fetch(
        "select * from public.personality_assessment_history order by assessment_timestamp, id"
    )
    assert [row["assessment_trigger"] for row in rows] == ["initial"] + ["periodic"] * 19
    assert [row["combined_share"] for row in rows] == pytest.approx([1 / n for n in range(1, 21)], abs=0.01)
    found = await personality(anna)
    assert msgspec.json.decode(rows[-1]["combined_scores"])["social"] == percentiles(found["scores"])["SOCIAL"]
    own = [msgspec.json.decode(row["personality_scores"])["social"] for row in rows]
    assert percentiles(found["scores"])["SOCIAL"] == pytest.approx(sum(own) / 20, abs=1)


async def test_assessments_of_version_1_are_read_as_percentiles(shop: Shop) -> None:
    """They have no errors: a variance of 100 / confidence stands for these in combinations."""
    anna = await shop.anonymous()
    me = ids.decode_as("Profile", await anna.my_id())
    await shop.owner.execute(
        """
        insert into public.personality_assessment_history (user_id, assessment_data, personality_scores, primary_type,
          assessment_trigger, questions_answered, confidence_level, assessment_quality_score, assessment_timestamp)
        values ($1, '{"version": "1.0", "answers": {"soc-1": 5}}',
          '{"adventurous": 100, "intellectual": 0, "practical": 0, "creative": 0, "social": 100}',
          'adventurous', 'initial', 20, 0.8, 1, now() - interval '1 day')
        """,
        me,
    )
    await anna.take_quiz({"adv"})
    newest, old = (await personality(anna))["history"]["nodes"]
    assert [score["standardError"] for score in old["scores"]] == [None] * 5
    assert percentiles(old["scores"])["SOCIAL"] == 100
    assert (old["isProvisional"], old["qualityParts"], old["share"]) == (False, None, None)
    assert newest["trigger"] == "PERIODIC"
    assert percentiles(newest["scores"])["SOCIAL"] < 3 < percentiles(newest["combined"])["SOCIAL"] < 60


async def test_the_short_form_is_enough_and_less_exact(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    quiz = (await anna.ask("{ quiz { minAnswers questions { id isInShortForm } } }"))["quiz"]
    short = [question["id"] for question in quiz["questions"] if question["isInShortForm"]]
    given = [{"questionId": item.code, "value": 2 if item.is_reversed else 4} for item in QUIZ_ITEMS if item.is_short]
    assert (sorted(short), quiz["minAnswers"]) == (sorted(answer["questionId"] for answer in given), 10)
    assert len(short) == 8
    payload = await anna.do(SUBMIT, input={"version": "2.0", "answers": given})
    assert payload["personality"]["questionsAnswered"] == payload["assessment"]["questionsAnswered"] == 8
    full = await ben.take_quiz({"adv", "soc"})
    assert payload["personality"]["confidence"] < full["personality"]["confidence"]
    errors = [[score["standardError"] for score in (await personality(client))["scores"]] for client in (anna, ben)]
    assert all(of_short > of_full > 0 for of_short, of_full in zip(*errors, strict=True))


async def test_quizzes_that_cannot_be(shop: Shop) -> None:
    anna = await shop.anonymous()
    good = await answers(anna)
    table: list[tuple[dict[str, Any], str, list[str]]] = [
        ({"version": "1.0"}, "STALE", ["version"]),
        ({"answers": []}, "INVALID", ["answers"]),
        ({"answers": good[:9]}, "INVALID", ["answers"]),
        ({"answers": [a for a in good if a["questionId"][:3] != "soc"]}, "INVALID", ["answers"]),
        ({"answers": [*good, good[3]]}, "INVALID", ["answers", "25", "questionId"]),
        ({"answers": [*good[:2], {"questionId": "adv-9", "value": 1}]}, "INVALID", ["answers", "2", "questionId"]),
        ({"answers": [{**good[0], "value": 0}]}, "INVALID", ["answers", "0", "value"]),
        ({"answers": [good[0], {**good[1], "value": 6}]}, "INVALID", ["answers", "1", "value"]),
        ({"completionTimeSeconds": -1}, "INVALID", ["completionTimeSeconds"]),
        ({"idempotencyKey": ""}, "INVALID", ["idempotencyKey"]),
        ({"idempotencyKey": "x" * 201}, "INVALID", ["idempotencyKey"]),
    ]
    for change, code, field in table:
        refused = await anna.refusal(SUBMIT, input={"version": "2.0", "answers": good, **change})
        assert (refused["code"], refused["field"]) == (code, field), change
    assert await personality(anna) is None


async def test_a_repeat_with_the_same_key_is_the_same_assessment(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    given = {"version": "2.0", "answers": await answers(anna), "idempotencyKey": "k"}
    first = await anna.do(SUBMIT, input=given)
    again = await anna.do(SUBMIT, input={**given, "answers": list(reversed(given["answers"]))})
    assert again["assessment"] == first["assessment"]
    refused = await anna.refusal(SUBMIT, input={**given, "answers": await answers(anna, 1)})
    assert (refused["code"], refused["field"]) == ("IDEMPOTENCY_KEY_REUSED", ["idempotencyKey"])
    assert (await ben.do(SUBMIT, input=given))["assessment"]["id"] != first["assessment"]["id"]
    assert await shop.owner.fetchval("select count(*) from public.personality_assessment_history") == 2


async def test_a_quiz_needs_a_session(shop: Shop) -> None:
    given = {"version": "2.0", "answers": await answers(shop.client())}
    assert await shop.client().code(SUBMIT, input=given) == "UNAUTHENTICATED"
