"""What people allow, and what changes when they withdraw it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain import ids
from tests.client import Client
from tests.conftest import Shop
from tests.http.test_session_merges import MERGE

CONSENTS = "consents { purpose granted decidedAt policyVersion }"
ME = f"{{ me {{ {CONSENTS} preferences {{ totalSwipes }} }} }}"
UPDATE = f"""
mutation ($input: UpdateConsentsInput!) {{
  updateConsents(input: $input) {{
    profile {{ {CONSENTS} preferences {{ totalSwipes rightSwipes }} }} userErrors {{ code message field }}
  }}
}}
"""
FEEDBACK = """
mutation ($id: ID!) { sendRecommendationFeedback(input: {recommendationId: $id, kind: HELPFUL}) {
  recommendation { reasons { code } } userErrors { code } } }
"""
VIEW = """
mutation ($input: RecordProductViewsInput!) {
  recordProductViews(input: $input) { recorded userErrors { code } }
}
"""
EVENTS = "mutation ($input: RecordEventsInput!) { recordEvents(input: $input) { recorded userErrors { code } } }"
NODE = "query ($id: ID!) { node(id: $id) { ... on Recommendation { score reasons { code } } } }"


async def decide(client: Client, **decisions: bool) -> dict[str, Any]:
    consents = [{"purpose": purpose.upper(), "granted": granted} for purpose, granted in decisions.items()]
    profile: dict[str, Any] = (await client.do(UPDATE, input={"consents": consents, "policyVersion": "2026-11"}))[
        "profile"
    ]
    return profile


def granted(profile: dict[str, Any]) -> dict[str, bool]:
    return {consent["purpose"]: consent["granted"] for consent in profile["consents"]}


def codes(feed: dict[str, Any]) -> set[str]:
    return {reason["code"] for node in feed["nodes"] for reason in node["reasons"]}


async def order_by_popularity(shop: Shop) -> list[str]:
    rows = await shop.owner.fetch("select id from public.products order by popularity desc, number")
    return [ids.encode("Product", row["id"]) for row in rows]


async def test_somebody_never_asked(shop: Shop) -> None:
    me = (await (await shop.anonymous()).ask(ME))["me"]
    assert granted(me) == {"PERSONALISATION": True, "ANALYTICS": True, "MARKETING": False}
    assert [(consent["decidedAt"], consent["policyVersion"]) for consent in me["consents"]] == [(None, None)] * 3


async def test_the_newest_decision_of_each_purpose_holds_and_all_are_kept(shop: Shop) -> None:
    anna, ben = await shop.account(), await shop.account()
    await decide(anna, marketing=True, analytics=False)
    profile = await decide(anna, marketing=False)
    assert granted(profile) == {"PERSONALISATION": True, "ANALYTICS": False, "MARKETING": False}
    decided = profile["consents"][2]
    assert decided["policyVersion"] == "2026-11"
    assert datetime.now(UTC) - datetime.fromisoformat(decided["decidedAt"]) < timedelta(minutes=1)
    events = await shop.owner.fetch("select purpose, granted, source from public.consents order by created_at, id")
    assert [tuple(event) for event in events] == [
        ("marketing", True, "api"), ("analytics", False, "api"), ("marketing", False, "api"),
    ]  # fmt: skip
    assert granted((await ben.ask(ME))["me"]) == {"PERSONALISATION": True, "ANALYTICS": True, "MARKETING": False}


@pytest.mark.parametrize(
    ("consents", "version", "field"),
    [
        ([], "1", "consents"),
        ([("MARKETING", True), ("MARKETING", False)], "1", "consents"),
        ([("MARKETING", True)], "", "policyVersion"),
        ([("MARKETING", True)], "x" * 51, "policyVersion"),
        ([("MARKETING", True)], "\0", "policyVersion"),
    ],
)
async def test_decisions_that_cannot_be(shop: Shop, consents: list[Any], version: str, field: str) -> None:
    anna = await shop.anonymous()
    given = [{"purpose": purpose, "granted": granted} for purpose, granted in consents]
    error = await anna.refusal(UPDATE, input={"consents": given, "policyVersion": version})
    assert (error["code"], error["field"]) == ("INVALID", [field])
    assert await shop.owner.fetchval("select count(*) from public.consents") == 0


async def test_without_a_token_nobody_decides(shop: Shop) -> None:
    given = {"consents": [{"purpose": "MARKETING", "granted": True}], "policyVersion": "1"}
    assert await shop.client().code(UPDATE, input=given) == "UNAUTHENTICATED"


async def test_without_personalisation_the_feed_follows_popularity_alone(shop: Shop) -> None:
    anna = await shop.anonymous()
    await anna.take_quiz({"adv", "soc"})
    swiped = (await anna.product("Camping 10"))["id"]
    await anna.swipe(swiped, "UP")
    popular = [product for product in await order_by_popularity(shop) if product != swiped]
    personal = await anna.feed(first=50)
    assert {"TRAIT_ADVENTUROUS", "LIKED_CATEGORY"} <= codes(personal)
    assert [node["product"]["id"] for node in personal["nodes"]] != popular

    await decide(anna, personalisation=False)
    plain = await anna.feed(first=50)
    assert [node["product"]["id"] for node in plain["nodes"]] == popular
    assert codes(plain) == {"POPULAR"}
    stranger = await shop.client().feed(first=50)
    scores = {node["product"]["id"]: (node["score"], node["confidence"]) for node in stranger["nodes"]}
    assert {node["product"]["id"]: (node["score"], node["confidence"]) for node in plain["nodes"]} == {
        product: score for product, score in scores.items() if product != swiped
    }
    only = await anna.feed(first=5, filter={"categorySlug": "books"})
    assert {node["product"]["category"]["slug"] for node in only["nodes"]} == {"books"}

    await decide(anna, personalisation=True)
    assert [n["product"]["id"] for n in (await anna.feed(first=50))["nodes"]] == [
        n["product"]["id"] for n in personal["nodes"]
    ]


async def test_without_personalisation_swipes_count_and_say_nothing_of_the_person(shop: Shop) -> None:
    anna = await shop.anonymous()
    await anna.take_quiz({"adv"})
    await anna.swipe((await anna.product("Books 1"))["id"])
    assert (await anna.ask(ME))["me"]["preferences"] == {"totalSwipes": 1}
    assert (await decide(anna, personalisation=False))["preferences"] is None
    assert await shop.owner.fetchval("select count(*) from public.user_preferences") == 0

    shown = (await anna.feed(first=1))["nodes"][0]
    payload = await anna.swipe(shown["product"]["id"], recommendationId=shown["id"])
    assert payload["preferences"] is None
    assert shown["product"]["id"] not in [n["product"]["id"] for n in (await anna.feed(first=100))["nodes"]]
    assert await shop.owner.fetchval("select count(*) from public.user_preferences") == 0
    assert await shop.owner.fetchval("select count(*) from public.personality_recommendations") == 0
    shown = (await anna.feed(first=1))["nodes"][0]
    sent = await anna.do(FEEDBACK, id=shown["id"])
    assert [reason["code"] for reason in sent["recommendation"]["reasons"]] == ["POPULAR"]

    profile = await decide(anna, personalisation=True)
    assert profile["preferences"] == {"totalSwipes": 2, "rightSwipes": 2}


async def test_granting_makes_no_preferences_for_somebody_who_never_swiped(shop: Shop) -> None:
    anna = await shop.anonymous()
    assert (await decide(anna, personalisation=True))["preferences"] is None


async def test_pages_of_one_feed_are_of_one_kind(shop: Shop) -> None:
    """A plain feed goes on as it began when personalisation is granted meanwhile; a personal one is not gone on with
    once it was withdrawn."""
    anna = await shop.anonymous()
    await anna.take_quiz({"adv"})
    await decide(anna, personalisation=False)
    plain = await anna.feed(first=25)
    await decide(anna, personalisation=True)
    rest = await anna.feed(first=25, after=plain["pageInfo"]["endCursor"])
    assert [n["product"]["id"] for n in (*plain["nodes"], *rest["nodes"])] == await order_by_popularity(shop)
    assert codes(rest) == {"POPULAR"}

    personal = await anna.feed(first=25)
    assert "TRAIT_ADVENTUROUS" in codes(personal)
    after = personal["pageInfo"]["endCursor"]
    assert "TRAIT_ADVENTUROUS" in codes(await anna.feed(first=5, after=after)) | codes(personal)
    await decide(anna, personalisation=False)
    feed = "query ($after: String) { recommendations(first: 5, after: $after) { nodes { id } } }"
    assert await anna.code(feed, after=after) == "STALE"


async def test_a_recommendation_is_explained_as_it_was_made_and_never_against_a_withdrawal(shop: Shop) -> None:
    anna = await shop.anonymous()
    await anna.take_quiz({"adv"})
    personal = (await anna.feed(first=1))["nodes"][0]
    assert "TRAIT_ADVENTUROUS" in {r["code"] for r in (await anna.ask(NODE, id=personal["id"]))["node"]["reasons"]}
    await decide(anna, personalisation=False)
    plain = (await anna.feed(first=1))["nodes"][0]
    for shown in (personal, plain):
        assert {r["code"] for r in (await anna.ask(NODE, id=shown["id"]))["node"]["reasons"]} == {"POPULAR"}
    await decide(anna, personalisation=True)
    assert {r["code"] for r in (await anna.ask(NODE, id=plain["id"]))["node"]["reasons"]} == {"POPULAR"}


async def test_without_analytics_nothing_of_what_one_looks_at_is_kept(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    product = (await anna.products(first=1))[0]["id"]

    async def look(client: Client) -> int:
        view = await shop.owner.fetchval("select private.uuid_v7()::text")
        recorded: int = (await client.do(VIEW, input={"views": [{"id": view, "productId": product}]}))["recorded"]
        return recorded

    assert await look(anna) == 1
    assert await shop.owner.fetchval("select count(*) from public.session_analytics") == 2
    await decide(anna, analytics=False)
    assert await shop.owner.fetchval("select count(*) from public.session_analytics") == 1
    assert [await look(anna), await look(ben)] == [0, 1]
    assert await shop.owner.fetchval("select count(*) from public.product_views") == 2
    await decide(anna, analytics=True)
    assert await look(anna) == 1


async def test_without_analytics_no_event_is_kept(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()

    async def tell(client: Client) -> int:
        event = {"id": await shop.owner.fetchval("select private.uuid_v7()::text"), "name": "seen"}
        recorded: int = (await client.do(EVENTS, input={"events": [event]}))["recorded"]
        return recorded

    await decide(anna, analytics=False)
    assert [await tell(anna), await tell(ben)] == [0, 1]
    assert await shop.owner.fetchval("select count(*) from public.analytics_events") == 1


async def test_what_was_withdrawn_on_either_side_of_a_merge_is_forgotten(shop: Shop) -> None:
    anna, session = await shop.account(), await shop.anonymous()
    await anna.swipe((await anna.products(first=1))[0]["id"])
    await decide(anna, analytics=False)
    await decide(session, personalisation=False)
    assert await shop.owner.fetchval("select count(*) from public.session_analytics") == 1
    await anna.do(MERGE, token=session.refresh_token)
    me = (await anna.ask(ME))["me"]
    assert granted(me) == {"PERSONALISATION": False, "ANALYTICS": False, "MARKETING": False}
    assert me["preferences"] is None
    for kept in ("user_preferences", "session_analytics"):
        assert await shop.owner.fetchval(f"select count(*) from public.{kept}") == 0
