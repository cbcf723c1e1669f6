"""Where one is signed in, and ending that."""

from __future__ import annotations

from typing import Any

import httpx

from domain import ids
from tests.client import Client
from tests.conftest import Shop

SESSIONS = """
query ($first: Int, $after: String) {
  me { sessions(first: $first, after: $after) {
    totalCount pageInfo { hasNextPage endCursor }
    nodes { id createdAt lastUsedAt expiresAt revokedAt userAgent isCurrent }
  } }
}
"""
REVOKE = """
mutation ($id: ID!) {
  revokeSession(input: {sessionId: $id}) { session { id revokedAt isCurrent } userErrors { code field } }
}
"""
REVOKE_OTHERS = "mutation { revokeOtherSessions { revoked userErrors { code } } }"
SIGN_IN = """
mutation ($input: SignInInput!) { signIn(input: $input) { accessToken refreshToken userErrors { code } } }
"""
REFRESH = "mutation ($t: String!) { refreshSession(input: {refreshToken: $t}) { accessToken userErrors { code } } }"
ANNA = {"email": "anna@people.example", "password": "correct horse"}


async def sign_in(shop: Shop, **given: str) -> Client:
    payload = await shop.client().do(SIGN_IN, input={**ANNA, **given})
    client = shop.client(payload["accessToken"])
    client.refresh_token = payload["refreshToken"]
    return client


async def listed(client: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.ask(SESSIONS))["me"]["sessions"]["nodes"]
    return found


async def goes_on(shop: Shop, client: Client) -> bool:
    """Whether the client's refresh token is good for anything."""
    answer = (await shop.client().ask(REFRESH, t=client.refresh_token))["refreshSession"]
    return not answer["userErrors"]


async def test_sessions_are_listed_newest_first_and_the_current_one_is_marked(shop: Shop) -> None:
    phone = await shop.account(**ANNA)
    desk = await sign_in(shop)
    await shop.account()
    sessions = await listed(desk)
    assert [s["isCurrent"] for s in sessions] == [True, False]
    assert [s["isCurrent"] for s in await listed(phone)] == [False, True]
    assert sessions[0]["createdAt"] > sessions[1]["createdAt"]
    assert {s["userAgent"] for s in sessions} == {f"python-httpx/{httpx.__version__}"}
    assert {s["revokedAt"] for s in sessions} == {None}
    assert all(s["expiresAt"] > s["lastUsedAt"] >= s["createdAt"] for s in sessions)


async def test_sessions_are_paged(shop: Shop) -> None:
    anna = await shop.account(**ANNA)
    await sign_in(shop)
    first = (await anna.ask(SESSIONS, first=1))["me"]["sessions"]
    second = (await anna.ask(SESSIONS, first=1, after=first["pageInfo"]["endCursor"]))["me"]["sessions"]
    assert (first["totalCount"], first["pageInfo"]["hasNextPage"]) == (2, True)
    assert (len(second["nodes"]), second["pageInfo"]["hasNextPage"]) == (1, False)
    assert first["nodes"] != second["nodes"]


async def test_an_anonymous_session_sees_itself(shop: Shop) -> None:
    assert [s["isCurrent"] for s in await listed(await shop.anonymous())] == [True]


async def test_a_session_is_ended_and_the_others_go_on(shop: Shop) -> None:
    phone, desk = await shop.account(**ANNA), await sign_in(shop)
    (lost,) = [s["id"] for s in await listed(desk) if not s["isCurrent"]]
    ended = (await desk.do(REVOKE, id=lost))["session"]
    assert (ended["id"], ended["isCurrent"]) == (lost, False)
    assert ended["revokedAt"] is not None
    assert [s["isCurrent"] for s in await listed(desk)] == [True]
    assert await goes_on(shop, desk)
    assert not await goes_on(shop, phone)
    assert (await desk.do(REVOKE, id=lost))["session"] == ended


async def test_ending_the_current_session_is_signing_out(shop: Shop) -> None:
    anna = await shop.account(**ANNA)
    (current,) = await listed(anna)
    assert (await anna.do(REVOKE, id=current["id"]))["session"]["isCurrent"] is True
    assert not await goes_on(shop, anna)


async def test_all_other_sessions_are_ended_at_once(shop: Shop) -> None:
    first, second, third = await shop.account(**ANNA), await sign_in(shop), await sign_in(shop)
    stranger = await shop.account()
    assert (await third.do(REVOKE_OTHERS))["revoked"] == 2
    assert [await goes_on(shop, c) for c in (first, second, third, stranger)] == [False, False, True, True]
    assert (await third.do(REVOKE_OTHERS))["revoked"] == 0


async def test_an_ended_or_expired_session_is_not_listed(shop: Shop) -> None:
    phone, desk = await shop.account(**ANNA), await sign_in(shop)
    await shop.owner.execute(
        "update public.user_sessions set expires_at = now() where id = $1",
        (await shop.services.tokens.verify(phone.token or "")).session_id,
    )
    assert [s["isCurrent"] for s in await listed(desk)] == [True]


async def test_what_is_no_session_is_not_found(shop: Shop) -> None:
    anna = await shop.account(**ANNA)
    for wrong in ("", "nonsense", await anna.my_id(), ids.encode("Session", "01a1fd2d-0000-7000-8000-000000000000")):
        assert await anna.refusal(REVOKE, id=wrong) == {"code": "NOT_FOUND", "field": ["sessionId"]}


async def test_nobody_has_no_sessions_to_end(shop: Shop) -> None:
    assert await shop.client().code(REVOKE, id="x") == "UNAUTHENTICATED"
    assert await shop.client().code(REVOKE_OTHERS) == "UNAUTHENTICATED"
