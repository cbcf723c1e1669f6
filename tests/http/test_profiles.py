"""The person who asks: an anonymous session or an account, what they say of themselves, and their numbers."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import uuid4

from domain import ids
from tests.conftest import Shop

ME = "{ me { id isAnonymous email displayName statedPreferences createdAt preferences { id } personality { id } } }"
UPDATE = """
mutation ($input: UpdateProfileInput!) {
  updateProfile(input: $input) { profile { displayName statedPreferences } userErrors { code field } }
}
"""
ANALYTICS = """
query ($since: DateTime) {
  me { analytics(since: $since) { swipes likes superLikes affiliateClicks conversions sessions } }
}
"""


async def test_without_a_token_there_is_nobody(shop: Shop) -> None:
    assert (await shop.client().ask(ME))["me"] is None


async def test_an_anonymous_session_is_a_profile_too(shop: Shop) -> None:
    me = (await (await shop.anonymous()).ask(ME))["me"]
    row = await shop.owner.fetchrow("select id, created_at from public.profiles")
    assert row is not None
    assert datetime.fromisoformat(me.pop("createdAt")) == row["created_at"]
    assert me == {
        "id": ids.encode("Profile", row["id"]),
        "isAnonymous": True,
        "email": None,
        "displayName": None,
        "statedPreferences": {},
        "preferences": None,
        "personality": None,
    }


async def test_an_account_has_its_email(shop: Shop) -> None:
    me = (await (await shop.account("Anna@People.example")).ask(ME))["me"]
    assert (me["isAnonymous"], me["email"]) == (False, "anna@people.example")
    key = await shop.owner.fetchval("select id from auth.users where email = 'anna@people.example'")
    assert me["id"] == ids.encode("Profile", key)


async def test_everybody_is_somebody_else(shop: Shop) -> None:
    anna, ben = await shop.anonymous(), await shop.anonymous()
    assert await anna.my_id() != await ben.my_id()
    await anna.do(UPDATE, input={"displayName": "Anna"})
    assert (await ben.ask(ME))["me"]["displayName"] is None


async def test_a_number_that_no_double_holds_is_refused(shop: Shop) -> None:
    anna = await shop.anonymous()
    assert await anna.code(UPDATE, input={"statedPreferences": {"large": 10**400}}) == "BAD_USER_INPUT"
    assert (await anna.ask(ME))["me"]["statedPreferences"] == {}


async def test_a_token_of_nobody_known(shop: Shop) -> None:
    ghost = shop.client(shop.token(uuid4()))
    assert (await ghost.ask(ME))["me"] is None
    assert await ghost.code(UPDATE, input={"displayName": "Boo"}) == "UNAUTHENTICATED"


async def test_what_is_left_out_stays_and_a_null_name_is_cleared(shop: Shop) -> None:
    anna = await shop.anonymous()

    async def kept() -> tuple[Any, ...]:
        return tuple(await shop.owner.fetchrow("select display_name, preferences from public.profiles") or ())

    await anna.do(UPDATE, input={"displayName": "  Anna \n Lee ", "statedPreferences": {"likes": ["tea"]}})
    assert await kept() == ("Anna Lee", '{"likes": ["tea"]}')
    changed = await anna.do(UPDATE, input={"statedPreferences": {"likes": []}})
    assert changed["profile"] == {"displayName": "Anna Lee", "statedPreferences": {"likes": []}}
    changed = await anna.do(UPDATE, input={"displayName": None})
    assert changed["profile"] == {"displayName": None, "statedPreferences": {"likes": []}}
    await anna.do(UPDATE, input={"displayName": "Anna"})
    await anna.do(UPDATE, input={})
    assert await kept() == ("Anna", '{"likes": []}')
    await anna.do(UPDATE, input={"displayName": " "})
    assert (await kept())[0] is None


async def test_profiles_that_cannot_be(shop: Shop) -> None:
    anna = await shop.anonymous()
    table: list[tuple[dict[str, Any], str]] = [
        ({"displayName": "x" * 101}, "displayName"),
        ({"statedPreferences": ["tea"]}, "statedPreferences"),
        ({"statedPreferences": "tea"}, "statedPreferences"),
        ({"statedPreferences": {"a": "x" * 17_000}}, "statedPreferences"),
        ({"statedPreferences": {"a": "\0"}}, "statedPreferences"),
        ({"displayName": "Anna", "statedPreferences": 7}, "statedPreferences"),
    ]
    for change, field in table:
        assert await anna.refusal(UPDATE, input=change) == {"code": "INVALID", "field": [field]}
    row = await shop.owner.fetchrow("select display_name, preferences from public.profiles")
    assert tuple(row or ()) == (None, "{}")


async def test_the_escape_of_a_nul_is_text_like_any_other(shop: Shop) -> None:
    anna = await shop.anonymous()
    for text in ("[^\\u0000-\\u007F]+", "\\\\u0000", "\\\\\\u0000", "\U0001f381"):
        kept = {"re": text, text: 1}
        changed = await anna.do(UPDATE, input={"statedPreferences": kept})
        assert changed["profile"]["statedPreferences"] == kept


async def test_a_nul_in_json_is_named(shop: Shop) -> None:
    anna = await shop.anonymous()
    update = "mutation ($input: UpdateProfileInput!) { updateProfile(input: $input) { userErrors { code message } } }"
    for preferences in ({"s": "\0"}, {"\0": 1}, {"s": "\\\0"}, {"s": ["\\u0000", "a\0b"]}):
        payload = (await anna.ask(update, input={"statedPreferences": preferences}))["updateProfile"]
        (error,) = payload["userErrors"]
        assert error["code"] == "INVALID"
        assert "NUL" in error["message"] and "statedPreferences" in error["message"]


async def test_a_nul_in_a_name_is_named(shop: Shop) -> None:
    anna = await shop.anonymous()
    update = "mutation ($input: UpdateProfileInput!) { updateProfile(input: $input) { userErrors { message field } } }"
    refused = await anna.refusal(update, input={"displayName": "An\0na"})
    assert refused["field"] == ["displayName"] and "NUL" in refused["message"]


async def test_nobody_cannot_be_changed(shop: Shop) -> None:
    assert await shop.client().code(UPDATE, input={"displayName": "Anna"}) == "UNAUTHENTICATED"


async def test_numbers_of_what_somebody_did(shop: Shop) -> None:
    anna, ben = await shop.account(), await shop.anonymous()
    products = await anna.products(first=6)
    for product, direction in zip(products, ("RIGHT", "RIGHT", "UP", "LEFT", "DOWN"), strict=False):
        await anna.swipe(product["id"], direction)
    undone = (await anna.swipe(products[5]["id"], "UP"))["swipe"]["id"]
    await anna.do("mutation ($id: ID!) { undoSwipe(input: {swipeId: $id}) { userErrors { code } } }", id=undone)
    click = "mutation ($id: ID!) { createAffiliateClick(input: {productId: $id}) { userErrors { code } } }"
    for product in products[:3]:
        await anna.do(click, id=product["id"])
    await shop.owner.execute(
        "update public.affiliate_clicks set actual_commission_minor = 55 where id = (select min(id::text)::uuid from "
        "public.affiliate_clicks)"
    )
    await ben.swipe(products[0]["id"])
    assert (await anna.ask(ANALYTICS))["me"]["analytics"] == {
        "swipes": 5,
        "likes": 2,
        "superLikes": 1,
        "affiliateClicks": 3,
        "conversions": 1,
        "sessions": int(shop.base.accounts_are_ours),
    }
    nothing = (await anna.ask(ANALYTICS, since="2999-01-01T00:00:00Z"))["me"]["analytics"]
    assert set(nothing.values()) == {0}
    assert (await ben.ask(ANALYTICS))["me"]["analytics"]["swipes"] == 1
