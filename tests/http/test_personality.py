"""The quiz and what it says of somebody."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import pytest

from domain import ids
from tests.client import QUIZ, SUBMIT, Client
from tests.conftest import Shop

PERSONALITY = """
query ($first: Int, $after: String) {
  me {
    personality {
      id primaryType secondaryTypes confidence assessmentMethod questionsAnswered lastAssessmentAt
      scores { trait score standardError }
      history(first: $first, after: $after) {
        totalCount pageInfo { hasNextPage endCursor }
        nodes {
          id primaryType trigger questionsAnswered completionTimeSeconds quality takenAt scores { trait score }
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
    quiz = (await client.ask(QUIZ))["quiz"]
    return [{"questionId": question["id"], "value": value} for question in quiz["questions"]]


async def test_the_quiz_says_what_its_tables_say(shop: Shop) -> None:
    quiz = (await shop.client().ask(QUIZ))["quiz"]
    rows = await shop.owner.fetch(
        """
        select q.code, t.text from public.quiz_questions q join public.quiz_texts t using (version, code)
        where q.version = '1.0' and t.locale = 'en' order by q.position
        """
    )
    assert (quiz["version"], quiz["locale"]) == ("1.0", "en")
    assert [(q["id"], q["text"]) for q in quiz["questions"]] == [tuple(row) for row in rows]
    for question in quiz["questions"]:
        assert [option["value"] for option in question["options"]] == [1, 2, 3, 4, 5]
        assert question["options"][0]["label"] == "Not at all like me"


async def test_the_quiz_in_another_language_where_it_is_worded(shop: Shop) -> None:
    await shop.owner.execute(
        "insert into public.quiz_texts select version, 'de', code, 'auf Deutsch: ' || text from public.quiz_texts"
    )
    query = 'query ($locale: String! = "en") { quiz(locale: $locale) { locale questions { text } } }'
    for asked, spoken in (("de", "de"), ("de-AT", "de"), ("fr", "en"), ("", "en"), ("\0", "en"), ("x" * 999, "en")):
        quiz = (await shop.client().ask(query, locale=asked))["quiz"]
        assert quiz["locale"] == spoken, asked
        assert quiz["questions"][0]["text"].startswith("auf Deutsch") is (spoken == "de")


async def test_no_personality_before_the_first_quiz(shop: Shop) -> None:
    assert await personality(await shop.anonymous()) is None


async def test_a_quiz_makes_a_personality(shop: Shop) -> None:
    anna = await shop.anonymous()
    payload = await anna.take_quiz({"adv", "soc"}, completionTimeSeconds=120)
    found = await personality(anna)
    row = await shop.owner.fetchrow("select * from public.personality_profiles")
    assert row is not None
    scores = [{"trait": trait, "score": 100.0 if trait in {"ADVENTUROUS", "SOCIAL"} else 0.0} for trait in TRAITS]
    assert payload["personality"]["scores"] == scores
    assert found["id"] == payload["personality"]["id"] == ids.encode("PersonalityProfile", row["id"])
    assert (found["primaryType"], found["secondaryTypes"]) == ("ADVENTUROUS", ["SOCIAL"])
    assert (row["primary_type"], row["secondary_types"]) == ("adventurous", ["social"])
    assert msgspec.json.decode(row["personality_scores"])["social"] == 100
    assert (found["questionsAnswered"], found["assessmentMethod"]) == (20, "QUIZ")
    assert found["confidence"] == pytest.approx(row["confidence_level"])
    assert datetime.fromisoformat(found["lastAssessmentAt"]) == row["last_assessment_at"]
    assert [score["standardError"] for score in found["scores"]] == [None] * 5


async def test_an_assessment_says_what_its_row_says(shop: Shop) -> None:
    anna = await shop.anonymous()
    await anna.take_quiz({"cre"}, completionTimeSeconds=90, trigger="PERIODIC")
    history = (await personality(anna))["history"]
    row = await shop.owner.fetchrow("select * from public.personality_assessment_history")
    assert row is not None
    (assessment,) = history["nodes"]
    assert datetime.fromisoformat(assessment.pop("takenAt")) == row["assessment_timestamp"]
    assert assessment.pop("quality") == pytest.approx(row["assessment_quality_score"])
    assert assessment == {
        "id": ids.encode("Assessment", row["id"]),
        "primaryType": "CREATIVE",
        "trigger": "PERIODIC",
        "questionsAnswered": 20,
        "completionTimeSeconds": 90,
        "scores": [{"trait": trait, "score": 100.0 if trait == "CREATIVE" else 0.0} for trait in TRAITS],
    }
    assert msgspec.json.decode(row["assessment_data"])["answers"]["cre-1"] == 5


async def test_another_quiz_replaces_the_personality_and_keeps_the_history(shop: Shop) -> None:
    anna = await shop.anonymous()
    first = await anna.take_quiz({"adv"})
    second = await anna.take_quiz({"pra"}, trigger="BEHAVIOR_CHANGE")
    third = await anna.take_quiz({"int"})
    found = await personality(anna, first=2)
    assert found["primaryType"] == "INTELLECTUAL"
    assert found["id"] == first["personality"]["id"]
    assert [a["id"] for a in found["history"]["nodes"]] == [third["assessment"]["id"], second["assessment"]["id"]]
    assert (found["history"]["totalCount"], found["history"]["pageInfo"]["hasNextPage"]) == (3, True)
    rest = await personality(anna, first=2, after=found["history"]["pageInfo"]["endCursor"])
    assert [a["id"] for a in rest["history"]["nodes"]] == [first["assessment"]["id"]]
    assert not rest["history"]["pageInfo"]["hasNextPage"]
    for variables in ({"first": -1}, {"first": 101}, {"after": "forged"}):
        assert await anna.code(PERSONALITY, **variables) == "BAD_USER_INPUT"


async def test_ten_answers_two_of_each_trait_are_enough(shop: Shop) -> None:
    anna = await shop.anonymous()
    given = [answer for answer in await answers(anna) if answer["questionId"][-1] in "12"]
    payload = await anna.do(SUBMIT, input={"version": "1.0", "answers": given})
    assert payload["personality"]["questionsAnswered"] == payload["assessment"]["questionsAnswered"] == 10
    assert payload["assessment"]["trigger"] == "INITIAL"
    full = await (await shop.anonymous()).do(SUBMIT, input={"version": "1.0", "answers": await answers(anna)})
    assert payload["personality"]["confidence"] < full["personality"]["confidence"]


async def test_quizzes_that_cannot_be(shop: Shop) -> None:
    anna = await shop.anonymous()
    good = await answers(anna)
    table: list[tuple[dict[str, Any], str, list[str]]] = [
        ({"version": "0.9"}, "STALE", ["version"]),
        ({"answers": []}, "INVALID", ["answers"]),
        ({"answers": good[:9]}, "INVALID", ["answers"]),
        ({"answers": [a for a in good if a["questionId"][:3] != "soc"]}, "INVALID", ["answers"]),
        ({"answers": [*good, good[3]]}, "INVALID", ["answers", "20", "questionId"]),
        ({"answers": [*good[:2], {"questionId": "adv-9", "value": 1}]}, "INVALID", ["answers", "2", "questionId"]),
        ({"answers": [{**good[0], "value": 0}]}, "INVALID", ["answers", "0", "value"]),
        ({"answers": [good[0], {**good[1], "value": 6}]}, "INVALID", ["answers", "1", "value"]),
        ({"completionTimeSeconds": -1}, "INVALID", ["completionTimeSeconds"]),
        ({"idempotencyKey": ""}, "INVALID", ["idempotencyKey"]),
        ({"idempotencyKey": "x" * 201}, "INVALID", ["idempotencyKey"]),
    ]
    for change, code, field in table:
        refused = await anna.refusal(SUBMIT, input={"version": "1.0", "answers": good, **change})
        assert (refused["code"], refused["field"]) == (code, field), change
    assert await personality(anna) is None


async def test_a_repeat_with_the_same_key_is_the_same_assessment(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    given = {"version": "1.0", "answers": await answers(anna), "idempotencyKey": "k"}
    first = await anna.do(SUBMIT, input=given)
    again = await anna.do(SUBMIT, input={**given, "answers": list(reversed(given["answers"]))})
    assert again["assessment"] == first["assessment"]
    refused = await anna.refusal(SUBMIT, input={**given, "answers": await answers(anna, 1)})
    assert (refused["code"], refused["field"]) == ("IDEMPOTENCY_KEY_REUSED", ["idempotencyKey"])
    assert (await ben.do(SUBMIT, input=given))["assessment"]["id"] != first["assessment"]["id"]
    assert await shop.owner.fetchval("select count(*) from public.personality_assessment_history") == 2


async def test_a_quiz_needs_a_session(shop: Shop) -> None:
    given = {"version": "1.0", "answers": await answers(shop.client())}
    assert await shop.client().code(SUBMIT, input=given) == "UNAUTHENTICATED"
