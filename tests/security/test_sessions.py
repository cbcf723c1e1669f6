"""Sessions: nobody ends somebody else's, and a token whose session has ended changes nothing of the account."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from domain import ids
from resolvers.sessions import MAX_PAIRS
from tests.authenticator import ENROL, REMOVE, VERIFY, enrol
from tests.client import Client
from tests.conftest import Shop
from tests.exports import EXPORT, exported
from tests.http.test_one_time_tokens import ASK, CHANGE, NEW, RESET
from tests.http.test_privacy import DELETE
from tests.http.test_second_factors import REFRESH
from tests.http.test_sessions import (
    ANNA,
    REVOKE,
    REVOKE_OTHERS,
    goes_on,
    listed,
    pass_grace,
    refreshed,
    refused,
    sign_in,
)
from tests.security.forging import encoded

pytestmark = pytest.mark.usefixtures("own_accounts")

PAIR = "mutation ($t: String!) { refreshSession(input: {refreshToken: $t}) { refreshToken userErrors { code } } }"
SHOWN = "query ($id: ID!) { node(id: $id) { id } }"


async def test_nobody_sees_or_ends_somebody_elses_session(shop: Shop) -> None:
    anna = await shop.account(**ANNA)
    (session,) = await listed(anna)
    thieves = [await shop.account(), await shop.anonymous(), shop.client()]
    for thief in thieves:
        assert (await thief.ask(SHOWN, id=session["id"]))["node"] is None
    for thief in thieves[:2]:
        assert (await thief.refusal(REVOKE, id=session["id"]))["code"] == "NOT_FOUND"
        assert (await thief.do(REVOKE_OTHERS))["revoked"] == 0
    assert await goes_on(shop, anna)


async def test_an_access_token_that_outlives_its_session_changes_no_account(shop: Shop) -> None:
    thief, anna = await shop.verified_account(**ANNA), await sign_in(shop)
    app = await enrol(anna)
    (stolen,) = [s["id"] for s in await listed(anna) if not s["isCurrent"]]
    (kept,) = [s["id"] for s in await listed(anna) if s["isCurrent"]]
    await anna.do(REVOKE, id=stolen)
    for document, given in (
        (REVOKE, {"id": kept}),
        (REVOKE_OTHERS, {}),
        (CHANGE, {"current": ANNA["password"], "new": NEW}),
        (ASK, {}),
        (ENROL, {}),
        (VERIFY, {"factor": app.factor_id, "code": app.code()}),
        (REMOVE, {"factor": app.factor_id}),
    ):
        assert await thief.code(document, **given) == "UNAUTHENTICATED"
    await app.show(anna)
    assert await goes_on(shop, anna)


async def test_service_role_ends_nobodys_session_by_naming_it(shop: Shop) -> None:
    """Its token has no session of its own, and the session is not its subject's."""
    anna = await shop.account(**ANNA)
    (session,) = await listed(anna)
    service = shop.client(shop.token("6b1f0c52-8a0e-4a57-9f0e-0d5a2c9a7c11", role="service_role"))
    assert (await service.refusal(REVOKE, id=session["id"]))["code"] == "NOT_FOUND"
    assert await goes_on(shop, anna)


async def test_an_access_token_that_outlives_its_session_takes_no_data_along_and_deletes_nothing(shop: Shop) -> None:
    thief, anna = await shop.account(**ANNA), await sign_in(shop)
    await anna.do(REVOKE_OTHERS)
    assert await thief.code(EXPORT) == "UNAUTHENTICATED"
    for given in ({}, {"password": ANNA["password"]}):
        assert await thief.code(DELETE, input={"confirm": True, **given}) == "UNAUTHENTICATED"
    assert (await exported(anna)).data["public.profiles"]


async def test_enrolling_a_second_factor_is_no_signing_in(shop: Shop) -> None:
    """Tokens of an old sign-in and a code are not enough to delete the account."""
    thief = await shop.verified_account(**ANNA)
    factor = await enrol(thief)
    long_ago = '[{"method": "password", "timestamp": 1000}]'
    await shop.owner.execute("update public.user_sessions set amr = $1::jsonb", long_ago)
    payload = await thief.do(REFRESH, token=thief.refresh_token)
    thief.token, thief.refresh_token = payload["accessToken"], payload["refreshToken"]
    await factor.show(thief)
    assert (await thief.refusal(DELETE, input={"confirm": True}))["code"] == "INVALID_CREDENTIALS"
    assert (await thief.do(DELETE, input={"confirm": True, "password": ANNA["password"]}))["deleted"]


def _of_session(client: Client, token: str) -> str:
    """The token, with the id of the client's session in front."""
    raw, own = ids.decode_bytes(token), ids.decode_bytes(client.refresh_token or "")
    assert raw and own
    return encoded(own[:16] + raw[16:])


OUT = "mutation { signOut { userErrors { code } } }"


async def _sign_out(shop: Shop, anna: Client) -> None:
    await anna.do(OUT)


async def _revoke(shop: Shop, anna: Client) -> None:
    (current,) = await listed(anna)
    await anna.do(REVOKE, id=current["id"])


async def _revoke_others(shop: Shop, anna: Client) -> None:
    await (await sign_in(shop)).do(REVOKE_OTHERS)


async def _change_password(shop: Shop, anna: Client) -> None:
    await (await sign_in(shop)).do(CHANGE, current=ANNA["password"], new=NEW)


async def _reset_password(shop: Shop, anna: Client) -> None:
    await shop.owner.execute(
        "select private.issue_one_time_token('reset_password', $1, sha256('by mail'), '', interval '1 hour')",
        ANNA["email"],
    )
    await shop.client().do(RESET, token="by mail", new=NEW)


async def _delete(shop: Shop, anna: Client) -> None:
    await anna.do(DELETE, input={"confirm": True})


@pytest.mark.parametrize(
    "end",
    [_sign_out, _revoke, _revoke_others, _change_password, _reset_password, _delete],
    ids=lambda end: end.__name__,
)
async def test_whatever_ends_a_session_ends_all_its_refresh_tokens(
    shop: Shop, end: Callable[[Shop, Client], Awaitable[None]]
) -> None:
    """Those within their grace, and every branch."""
    anna = await shop.account(**ANNA)
    first, second = [await refreshed(shop, anna.refresh_token) for _ in range(2)]
    await end(shop, anna)
    for token in (anna.refresh_token, first["refreshToken"], second["refreshToken"]):
        assert await refused(shop, token)


async def test_a_session_that_is_refreshed_while_it_is_ended_is_over(shop: Shop) -> None:
    anna = await shop.account(**ANNA)
    _, *pairs = await asyncio.gather(anna.do(OUT), *(shop.client().ask(PAIR, t=anna.refresh_token) for _ in range(10)))
    given = [pair["refreshSession"]["refreshToken"] for pair in pairs]
    for token in (anna.refresh_token, *filter(None, given)):
        assert await refused(shop, token)


async def test_what_is_kept_of_a_session_is_bounded(shop: Shop) -> None:
    """However often a thief refreshes and branches; no pair is lost by it before its grace is over."""
    visitor = await shop.anonymous()
    token = visitor.refresh_token
    for _ in range(3):
        pairs = [await refreshed(shop, token) for _ in range(MAX_PAIRS)]
        assert await shop.client().code(PAIR, t=token) == "RATE_LIMITED"
        await pass_grace(shop)
        token = (await refreshed(shop, pairs[0]["refreshToken"]))["refreshToken"]
        await pass_grace(shop)
    kept = await shop.owner.fetchrow(
        "select cardinality(branch_token_hashes), cardinality(rotated_token_hashes), cardinality(rotated_at)"
        " from public.user_sessions"
    )
    assert kept is not None
    assert max(kept) <= MAX_PAIRS
    # Nothing is kept of the first token; that it was ours its signature says.
    assert await refused(shop, visitor.refresh_token)
    assert await refused(shop, token)


async def test_a_token_of_before_the_signature_ends_its_session_too(shop: Shop) -> None:
    """Random bytes, as the release before made them: with a hash and no time."""
    visitor = await shop.anonymous()
    old = "A" * 64
    await shop.owner.execute(
        "update public.user_sessions set rotated_token_hashes = array[sha256($1::text::bytea)]",
        _of_session(visitor, old),
    )
    fresh = await refreshed(shop, visitor.refresh_token)
    assert await refused(shop, _of_session(visitor, old))
    assert await refused(shop, fresh["refreshToken"])


async def test_a_code_shown_in_one_tab_raises_no_token_of_another(shop: Shop) -> None:
    anna = await shop.verified_account(**ANNA)
    app = await enrol(anna)
    here, there = [await refreshed(shop, anna.refresh_token) for _ in range(2)]
    anna.token, anna.refresh_token = here["accessToken"], here["refreshToken"]
    await app.show(anna)
    there = await refreshed(shop, there["refreshToken"])
    assert (await shop.services.tokens.verify(there["accessToken"])).aal == "aal1"
    assert "totp" not in (await shop.services.tokens.verify(there["accessToken"])).raw
    raised = await refreshed(shop, anna.refresh_token)
    assert (await shop.services.tokens.verify(raised["accessToken"])).aal == "aal2"


async def test_nobody_raises_a_refresh_token_by_changing_it(shop: Shop) -> None:
    app = await enrol(anna := await shop.verified_account(**ANNA))
    other = await refreshed(shop, anna.refresh_token)
    await app.show(anna)
    raw = bytearray(ids.decode_bytes(other["refreshToken"]) or b"")
    raw[16] ^= 1
    assert await refused(shop, encoded(bytes(raw)))
    assert await goes_on(shop, anna)
