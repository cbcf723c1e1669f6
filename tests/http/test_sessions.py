"""Where one is signed in, going on with it, and ending that."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import msgspec

from domain import ids
from server import create_app
from settings import Settings
from tests.client import Client
from tests.conftest import SECRET, Shop

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
REFRESH_PAIR = """
mutation ($t: String!) { refreshSession(input: {refreshToken: $t}) { accessToken refreshToken userErrors { code } } }
"""
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


async def refreshed(shop: Shop, token: str | None) -> dict[str, Any]:
    """A new pair, by a request of its own."""
    return await shop.client().do(REFRESH_PAIR, t=token)


async def refused(shop: Shop, token: str | None) -> bool:
    payload = (await shop.client().ask(REFRESH, t=token))["refreshSession"]
    return [error["code"] for error in payload["userErrors"]] == ["INVALID_CREDENTIALS"]


async def pass_grace(shop: Shop, seconds: float = 11) -> None:
    """Makes what was exchanged so much older: REFRESH_GRACE is 10 seconds."""
    await shop.owner.execute(
        "update public.user_sessions set rotated_at = array("
        " select at - make_interval(secs => $1) from unnest(rotated_at) with ordinality t (at, n) order by n)",
        seconds,
    )


async def test_twenty_tabs_that_refresh_at_once_all_go_on(shop: Shop) -> None:
    visitor = await shop.anonymous()
    me = await visitor.my_id()
    pairs = await asyncio.gather(*(refreshed(shop, visitor.refresh_token) for _ in range(20)))
    assert {await shop.client(pair["accessToken"]).my_id() for pair in pairs} == {me}
    assert len({pair["refreshToken"] for pair in pairs}) == 20
    await pass_grace(shop)
    later = [await refreshed(shop, pair["refreshToken"]) for pair in pairs]
    assert len({pair["refreshToken"] for pair in later}) == 20


async def test_a_client_whose_answer_was_lost_asks_again(shop: Shop) -> None:
    visitor = await shop.anonymous()
    lost = await refreshed(shop, visitor.refresh_token)
    second = await refreshed(shop, visitor.refresh_token)
    await pass_grace(shop)
    for pair in (second, lost):
        assert await shop.client(pair["accessToken"]).my_id() == await visitor.my_id()
        await refreshed(shop, pair["refreshToken"])


async def test_two_servers_on_one_database_know_of_each_others_exchanges(shop: Shop, settings: Settings) -> None:
    visitor = await shop.anonymous()
    other = create_app(settings, shop.dsns.api, SECRET, background=())
    async with (
        other.router.lifespan_context(other),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=other), base_url="http://other") as http,
    ):
        here = await refreshed(shop, visitor.refresh_token)
        there = await Client(http).do(REFRESH_PAIR, t=visitor.refresh_token)
        both = await asyncio.gather(
            refreshed(shop, there["refreshToken"]), Client(http).do(REFRESH_PAIR, t=here["refreshToken"])
        )
        await pass_grace(shop)
        for pair in both:
            await Client(http).do(REFRESH_PAIR, t=pair["refreshToken"])


async def test_after_the_grace_an_old_refresh_token_ends_the_session(shop: Shop) -> None:
    visitor = await shop.anonymous()
    fresh = await refreshed(shop, visitor.refresh_token)
    await pass_grace(shop)
    assert await refused(shop, visitor.refresh_token)
    assert await refused(shop, fresh["refreshToken"])
    assert await shop.owner.fetchval("select revoked_at is not null from public.user_sessions")


async def test_use_does_not_lengthen_the_grace(shop: Shop) -> None:
    visitor = await shop.anonymous()
    await refreshed(shop, visitor.refresh_token)
    await pass_grace(shop, 6)
    second = await refreshed(shop, visitor.refresh_token)
    await pass_grace(shop, 6)
    assert await refused(shop, visitor.refresh_token)
    assert await refused(shop, second["refreshToken"])


async def test_each_branch_has_a_grace_of_its_own(shop: Shop) -> None:
    """R0 -> R1 and R0 -> R2; R1 -> R3, and R1 once more too late."""
    visitor = await shop.anonymous()
    first, second = [await refreshed(shop, visitor.refresh_token) for _ in range(2)]
    await pass_grace(shop)
    third = await refreshed(shop, first["refreshToken"])
    await refreshed(shop, first["refreshToken"])
    await pass_grace(shop)
    assert await refused(shop, first["refreshToken"])
    assert await refused(shop, second["refreshToken"])
    assert await refused(shop, third["refreshToken"])


async def test_without_a_grace_a_refresh_token_works_once(shop: Shop, settings: Settings) -> None:
    strict = create_app(msgspec.structs.replace(settings, refresh_grace=0), shop.dsns.api, SECRET, background=())
    async with (
        strict.router.lifespan_context(strict),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=strict), base_url="http://strict") as http,
    ):
        visitor = await Client(http).start_session()
        answers = await asyncio.gather(*(Client(http).ask(REFRESH, t=visitor.refresh_token) for _ in range(3)))
        assert sorted(bool(answer["refreshSession"]["accessToken"]) for answer in answers) == [False, False, True]
    assert await shop.owner.fetchval("select revoked_at is not null from public.user_sessions")
