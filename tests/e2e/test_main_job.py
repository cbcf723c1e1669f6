"""The job the service is for: somebody comes by, says what they like, is shown presents, and goes to the shop."""

from __future__ import annotations

import secrets
from typing import Any, TypeAlias
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import httpx

from domain import ids
from tests.client import Client
from tests.e2e.conftest import Service

Database: TypeAlias = "asyncpg.Connection[Any]"

START = """
mutation {
  startSession(input: {landingPage: "/presents", campaign: "spring"}) {
    sessionId accessToken refreshToken userErrors { code }
  }
}
"""
FEEDBACK = """
mutation ($input: RecommendationFeedbackInput!) {
  sendRecommendationFeedback(input: $input) { recommendation { id } userErrors { code message } }
}
"""
CLICK = """
mutation ($input: AffiliateClickInput!) {
  createAffiliateClick(input: $input) { click { id redirectUrl network } userErrors { code message } }
}
"""
AUTH = "accessToken refreshToken profile { id email displayName isAnonymous } userErrors { code message }"
UP = f"mutation ($input: SignUpInput!) {{ signUp(input: $input) {{ {AUTH} }} }}"
IN = f"mutation ($input: SignInInput!) {{ signIn(input: $input) {{ {AUTH} }} }}"
REFRESH = f"mutation ($token: String!) {{ refreshSession(input: {{refreshToken: $token}}) {{ {AUTH} }} }}"
OUT = "mutation { signOut { signedOut userErrors { code } } }"
UPDATE = """
mutation ($input: UpdateProfileInput!) {
  updateProfile(input: $input) { profile { displayName statedPreferences } userErrors { code } }
}
"""


async def session_of(caller: Client, database: Database) -> UUID:
    """Starts a session; the id of its profile as stored."""
    started = await caller.do(START)
    caller.token, caller.refresh_token = started["accessToken"], started["refreshToken"]
    row = await database.fetchrow(
        "select user_id, landing_page, campaign from public.session_analytics where session_id = $1",
        ids.decode_as("Session", started["sessionId"]),
    )
    assert row is not None
    assert (row["landing_page"], row["campaign"]) == ("/presents", "spring")
    user: UUID = row["user_id"]
    assert await caller.my_id() == ids.encode("Profile", user)
    return user


async def test_somebody_browses(caller: Client, database: Database) -> None:
    stored = await database.fetchval("select count(*) from public.products where is_active")
    query = "{ products(first: 5, orderBy: PRICE_ASC) { totalCount nodes { name price { amount } } } }"
    seen = (await caller.ask(query))["products"]
    assert seen["totalCount"] == stored > 400
    cheapest = await database.fetch("select name from public.products where is_active order by price_minor, id limit 5")
    assert [node["name"] for node in seen["nodes"]] == [row["name"] for row in cheapest]
    found = await caller.ask('{ products(first: 100, search: "kettle") { nodes { name } } categories { slug } }')
    assert found["products"]["nodes"]
    assert len(found["categories"]) == await database.fetchval("select count(*) from public.categories where is_active")


async def test_quiz_swipes_and_recommendations_that_react(caller: Client, database: Database) -> None:
    user = await session_of(caller, database)
    before = await caller.feed(first=20)
    assert {reason["code"] for node in before["nodes"] for reason in node["reasons"]} == {"POPULAR"}

    taken = await caller.take_quiz({"int"}, completionTimeSeconds=100)
    assert taken["personality"]["primaryType"] == "INTELLECTUAL"
    assert (
        await database.fetchval("select primary_type from public.personality_profiles where user_id = $1", user)
        == "intellectual"
    )
    suited = await caller.feed(first=20)
    assert any(reason["code"] == "TRAIT_INTELLECTUAL" for reason in suited["nodes"][0]["reasons"])
    assert [node["id"] for node in suited["nodes"]] != [node["id"] for node in before["nodes"]]

    liked, disliked = suited["nodes"][0], suited["nodes"][1]
    kept = await caller.swipe(liked["product"]["id"], "UP", recommendationId=liked["id"])
    await caller.swipe(disliked["product"]["id"], "LEFT", recommendationId=disliked["id"])
    assert kept["preferences"]["totalSwipes"] == 1
    rows = await database.fetch(
        """
        select s.direction::text, s.product_id, r.recommendation_context
        from public.swipes s join public.recommendations r on r.user_id = s.user_id and r.id = s.recommendation_id
        where s.user_id = $1 order by s.created_at
        """,
        user,
    )
    assert [
        (row["direction"], ids.encode("Product", row["product_id"]), row["recommendation_context"]) for row in rows
    ] == [
        ("up", liked["product"]["id"], "discover"),
        ("left", disliked["product"]["id"], "discover"),
    ]
    assert await database.fetchval("select total_swipes from public.user_preferences where user_id = $1", user) == 2

    after = await caller.feed(first=20)
    shown = [node["product"]["id"] for node in after["nodes"]]
    assert not {liked["product"]["id"], disliked["product"]["id"]} & set(shown)
    because = [
        reason["text"] for node in after["nodes"] for reason in node["reasons"] if reason["code"].startswith("LIKED_")
    ]
    assert any(f"like “{liked['product']['name']}”" in text for text in because)

    unwanted = after["nodes"][0]
    await caller.do(
        FEEDBACK, input={"recommendationId": unwanted["id"], "kind": "NOT_INTERESTED", "rating": 1, "comment": "No."}
    )
    kept_feedback = await database.fetchrow(
        "select feedback_type, rating, comment, product_id from public.recommendation_feedback where user_id = $1", user
    )
    assert tuple(kept_feedback or ())[:3] == ("not_interested", 1, "No.")
    assert unwanted["product"]["id"] not in [node["product"]["id"] for node in (await caller.feed(first=20))["nodes"]]


async def test_from_a_recommendation_to_the_shop(
    caller: Client, http: httpx.AsyncClient, database: Database, service: Service
) -> None:
    user = await session_of(caller, database)
    shown = (await caller.feed(first=1))["nodes"][0]
    made = await caller.do(
        CLICK,
        input={"productId": shown["product"]["id"], "recommendationId": shown["id"], "sourcePage": "/feed"},
    )
    click = await database.fetchrow("select * from public.affiliate_clicks where user_id = $1", user)
    assert click is not None
    assert made["click"]["id"] == ids.encode("AffiliateClick", click["id"])
    assert click["source_page"] == "/feed"
    assert click["recommendation_id"] is not None
    assert click["expected_commission_minor"] == round(click["price_minor"] * click["commission_rate"])

    assert made["click"]["redirectUrl"].startswith(f"{service.url}/r/")
    followed = await http.get(made["click"]["redirectUrl"], headers={"user-agent": "a browser"})
    assert followed.status_code == 302
    target, offer = urlsplit(followed.headers["location"]), urlsplit(click["affiliate_url"])
    assert (target.scheme, target.netloc) == (offer.scheme, offer.netloc)
    is_tracked = click["affiliate_network"] != "direct"
    token = made["click"]["redirectUrl"].rpartition("/")[2]
    assert followed.headers["location"].count(token) == is_tracked
    hits = await database.fetch("select device_class from public.affiliate_redirects where click_id = $1", click["id"])
    assert [hit["device_class"] for hit in hits] == ["other"]


async def test_an_account_from_the_first_sign_up_to_the_last_sign_out(
    caller: Client, http: httpx.AsyncClient, database: Database
) -> None:
    email = f"{secrets.token_hex(6)}@people.example"
    made = await caller.do(UP, input={"email": email, "password": "correct horse", "displayName": "Anna"})
    account = await database.fetchrow("select id, encrypted_password from auth.users where email = $1", email)
    assert account is not None
    assert account["encrypted_password"].startswith("$argon2id$")
    assert made["profile"] == {
        "id": ids.encode("Profile", account["id"]),
        "email": email,
        "displayName": "Anna",
        "isAnonymous": False,
    }

    entered = await Client(http).do(IN, input={"email": email, "password": "correct horse"})
    assert (await Client(http).refusal(IN, input={"email": email, "password": "wrong horse"}))["code"] == (
        "INVALID_CREDENTIALS"
    )
    sessions = "select count(*) from public.user_sessions where user_id = $1 and revoked_at is null"
    assert await database.fetchval(sessions, account["id"]) == 2

    fresh = await Client(http).do(REFRESH, token=entered["refreshToken"])
    assert await database.fetchval(sessions, account["id"]) == 2
    me = Client(http, fresh["accessToken"])
    changed = await me.do(UPDATE, input={"displayName": "Anna Lee", "statedPreferences": {"likes": ["tea"]}})
    assert changed["profile"] == {"displayName": "Anna Lee", "statedPreferences": {"likes": ["tea"]}}
    profile = await database.fetchrow(
        "select display_name, preferences from public.profiles where id = $1", account["id"]
    )
    assert tuple(profile or ()) == ("Anna Lee", '{"likes": ["tea"]}')

    assert (await me.do(OUT))["signedOut"] is True
    assert await database.fetchval(sessions, account["id"]) == 1
    refused = await Client(http).refusal(REFRESH, token=fresh["refreshToken"])
    assert refused["code"] == "INVALID_CREDENTIALS"


async def test_the_demo_token_of_the_banner_works(service: Service, http: httpx.AsyncClient) -> None:
    header = next(line for line in service.output.read_text().splitlines() if line.startswith('{"Authorization"'))
    token = header.partition("Bearer ")[2].rstrip('"}')
    me = (await Client(http, token).ask("{ me { email isAnonymous } }"))["me"]
    assert me == {"email": "demo@aclue.example", "isAnonymous": False}
