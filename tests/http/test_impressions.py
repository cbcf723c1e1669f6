"""Recommendations that were on the screen, through GraphQL."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from resolvers import impressions
from tests.client import Client
from tests.client_ids import uuid7
from tests.conftest import Shop

RECORD = """
mutation ($impressions: [ImpressionInput!]!, $sentAt: DateTime) {
  recordImpressions(input: {impressions: $impressions, sentAt: $sentAt}) { recorded userErrors { code message field } }
}
"""
COUNTS = """
query ($since: DateTime!, $until: DateTime) { impressionCounts(since: $since, until: $until) {
  context impressions people swiped liked clicked bought clickThroughRate
} }
"""
CLICK = "mutation ($input: AffiliateClickInput!) { createAffiliateClick(input: $input) { userErrors { code } } }"
FEEDBACK = """
mutation ($input: RecommendationFeedbackInput!) { sendRecommendationFeedback(input: $input) { userErrors { code } } }
"""
HOUR = 3600
DAY = 24 * HOUR


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


def impression(shown: dict[str, Any], position: int = 1, age: float = 0, **more: Any) -> dict[str, Any]:
    return {
        "id": uuid7(age),
        "recommendationId": shown["id"],
        "position": position,
        "shownAt": ago(age),
        **more,
    }


async def record(client: Client, *items: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = (await client.ask(RECORD, impressions=list(items), **more))["recordImpressions"]
    return answer


async def test_impressions_are_stored_once_with_what_their_ids_say(shop: Shop) -> None:
    anna = await shop.anonymous()
    feed = (await anna.feed(first=2))["nodes"]
    items = [impression(node, position, durationMs=900) for position, node in enumerate(feed, start=1)]

    assert await record(anna, *items) == {"recorded": 2, "userErrors": []}
    assert await record(anna, *items) == {"recorded": 0, "userErrors": []}
    assert await record(anna, impression(feed[0], 3), items[1]) == {"recorded": 1, "userErrors": []}

    stored = await shop.owner.fetch(
        """
        select tableoid::regclass::text as part, position, recommendation_context as context, model_version, arm,
          propensity, duration_ms, (select version from public.recommendation_models) as newest
        from public.impressions order by position
        """
    )
    assert [(row["position"], row["duration_ms"]) for row in stored] == [(1, 900), (2, 900), (3, None)]
    for row in stored:
        assert row["part"].startswith("impressions_20"), "not in the default partition"
        assert (row["context"], row["arm"], row["propensity"]) == ("discover", 0, 1)
        assert row["model_version"] == row["newest"]


async def test_each_impression_that_cannot_be_is_refused_and_the_others_are_stored(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    own, foreign = (await anna.feed(first=1))["nodes"][0], (await ben.feed(first=1))["nodes"][0]
    forged = {"id": own["id"][:-2] + ("AA" if own["id"][-2:] != "AA" else "BB")}
    table: list[tuple[dict[str, Any], str, str]] = [
        (impression(foreign), "NOT_FOUND", "recommendationId"),
        (impression(forged), "NOT_FOUND", "recommendationId"),
        (impression({"id": "x" * 500}), "NOT_FOUND", "recommendationId"),
        (impression(own, 0), "INVALID", "position"),
        (impression(own, 10_001), "INVALID", "position"),
        (impression(own, durationMs=-1), "INVALID", "durationMs"),
        (impression(own, durationMs=DAY * 1000 + 1), "INVALID", "durationMs"),
        (impression(own, shownAt=ago(-HOUR)), "INVALID", "shownAt"),
        (impression(own, shownAt=ago(2 * DAY)), "INVALID", "shownAt"),
        (impression(own, age=-DAY), "INVALID", "id"),
        (impression(own, age=31 * DAY), "INVALID", "id"),
        (impression(own) | {"id": str(uuid.uuid4())}, "INVALID", "id"),
        (impression(own) | {"id": "nonsense"}, "INVALID", "id"),
    ]
    answer = await record(anna, impression(own), *(item for item, _, _ in table))
    assert answer["recorded"] == 1
    assert [(error["code"], error["field"]) for error in answer["userErrors"]] == [
        (code, ["impressions", str(index), field]) for index, (_, code, field) in enumerate(table, start=1)
    ]
    assert await shop.owner.fetchval("select count(*) from public.impressions") == 1


async def test_impressions_need_somebody_and_are_limited(shop: Shop) -> None:
    shown = (await shop.client().feed(first=1))["nodes"][0]
    assert await shop.client().code(RECORD, impressions=[impression(shown)]) == "UNAUTHENTICATED"
    anna = await shop.anonymous()
    answer = await record(anna, *[impression(shown) for _ in range(101)])
    assert [error["code"] for error in answer["userErrors"]] == ["LIMIT_REACHED"]
    assert await record(anna, impression(shown)) == {"recorded": 1, "userErrors": []}, "as was shown without a token"


async def test_a_person_has_so_many_impressions_a_day(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(impressions, "MAX_PER_DAY", 3)
    anna, ben = await shop.anonymous(), await shop.anonymous()
    shown = (await anna.feed(first=1))["nodes"][0]
    items = [impression(shown) for _ in range(5)]
    answer = await record(anna, *items)
    assert answer["recorded"] == 3
    assert [(error["code"], error["field"]) for error in answer["userErrors"]] == [
        ("LIMIT_REACHED", ["impressions", "3"]),
        ("LIMIT_REACHED", ["impressions", "4"]),
    ]
    assert (await record(anna, *items[:3]))["userErrors"] == [], "repeats"
    assert (await record(anna, impression(shown)))["recorded"] == 0
    assert (await record(anna, impression(shown, age=2 * DAY)))["recorded"] == 1, "of another day"
    assert (await record(ben, impression((await ben.feed(first=1))["nodes"][0])))["recorded"] == 1
    assert await shop.owner.fetchval("select count(*) from public.impressions") == 5


async def test_impressions_of_a_wrong_clock_are_stored_once_at_the_servers_time(shop: Shop) -> None:
    anna = await shop.anonymous()
    item = impression((await anna.feed(first=1))["nodes"][0], age=-DAY)
    for later, recorded in ((0, 1), (7, 0)):
        assert (await record(anna, item, sentAt=ago(-DAY - later)))["recorded"] == recorded
    stored = await shop.owner.fetchrow("select id, shown_at from public.impressions")
    assert stored is not None
    assert abs(time.time() - (stored["id"].int >> 80) / 1000) < 60
    assert abs(datetime.now(UTC) - stored["shown_at"]) < timedelta(minutes=1)


async def test_without_consent_to_analytics_nothing_is_stored(shop: Shop) -> None:
    anna = await shop.anonymous()
    await anna.do(
        'mutation { updateConsents(input: {consents: [{purpose: ANALYTICS, granted: false}], policyVersion: "1"}) '
        "{ userErrors { code } } }"
    )
    assert await record(anna, impression((await anna.feed(first=1))["nodes"][0])) == {"recorded": 0, "userErrors": []}
    assert await shop.owner.fetchval("select count(*) from public.impressions") == 0


async def test_shown_means_that_an_impression_was_recorded(shop: Shop) -> None:
    anna = await shop.anonymous()
    await anna.take_quiz({"adv"})
    first, second, third = (await anna.feed(first=3))["nodes"]
    await record(anna, impression(first, 1, age=HOUR), impression(first, 1), impression(second, 2, age=60))
    await anna.swipe(third["product"]["id"], "LEFT", recommendationId=third["id"])
    await anna.swipe(second["product"]["id"], "UP", recommendationId=second["id"])
    await record(anna, impression(third, 3, age=30))
    rows = await shop.owner.fetch(
        """
        select r.combined_score as score, is_shown, is_swiped, swipe_direction,
          round(extract(epoch from now() - shown_at) / 30)::int as age
        from public.personality_recommendations r order by combined_score desc
        """
    )
    assert [tuple(row) for row in rows] == [
        (first["score"], True, False, None, 120),
        (second["score"], True, True, "up", 2),
        (third["score"], True, True, "left", 1),
    ]


async def test_what_was_not_recorded_as_shown_is_not_said_to_be(shop: Shop) -> None:
    anna = await shop.anonymous()
    await anna.take_quiz({"adv"})
    shown = (await anna.feed(first=1))["nodes"][0]
    await anna.swipe(shown["product"]["id"], "RIGHT", recommendationId=shown["id"])
    row = await shop.owner.fetchrow("select is_shown, shown_at, is_swiped from public.personality_recommendations")
    assert tuple(row or ()) == (False, None, True)


async def test_analysts_count_impressions_and_what_followed(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    feed = (await anna.feed(first=4))["nodes"]
    await record(anna, *(impression(node, age=HOUR) for node in feed))
    await record(anna, impression(feed[0], age=600), impression(feed[0], age=500))
    await record(ben, impression((await ben.feed(first=1))["nodes"][0]))
    liked, clicked, disliked, bought = feed
    await anna.swipe(liked["product"]["id"], "UP", recommendationId=liked["id"])
    await anna.swipe(disliked["product"]["id"], "LEFT", recommendationId=disliked["id"])
    for _ in range(2):
        await anna.do(CLICK, input={"productId": clicked["product"]["id"], "recommendationId": clicked["id"]})
    await anna.do(FEEDBACK, input={"recommendationId": bought["id"], "kind": "PURCHASED"})
    undone = await anna.swipe(bought["product"]["id"], "UP", recommendationId=bought["id"])
    await anna.do(
        "mutation ($id: ID!) { undoSwipe(input: {swipeId: $id}) { userErrors { code } } }", id=undone["swipe"]["id"]
    )

    analyst, admin = (
        shop.client(shop.token(uuid.uuid4(), app_metadata={"role": role})) for role in ("analyst", "admin")
    )
    assert (await analyst.ask(COUNTS, since=ago(DAY)))["impressionCounts"] == [], "two people, and today"
    counted = (await admin.ask(COUNTS, since=ago(DAY)))["impressionCounts"]
    assert counted == [
        {
            "context": "DISCOVER",
            "impressions": 7,
            "people": 2,
            "swiped": 2,
            "liked": 1,
            "clicked": 1,
            "bought": 1,
            "clickThroughRate": pytest.approx(1 / 7),
        }
    ]
    assert (await analyst.ask(COUNTS, since=ago(2 * DAY), until=ago(DAY)))["impressionCounts"] == []
    assert await analyst.code(COUNTS, since=ago(0), until=ago(DAY)) == "BAD_USER_INPUT"
    assert await anna.code(COUNTS, since=ago(DAY)) == "FORBIDDEN"
