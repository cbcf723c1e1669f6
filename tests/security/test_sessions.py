"""Sessions: nobody ends somebody else's, and a token whose session has ended changes nothing of the account."""

from __future__ import annotations

import pytest

from tests.authenticator import ENROL, REMOVE, VERIFY, enrol
from tests.conftest import Shop
from tests.exports import EXPORT, exported
from tests.http.test_one_time_tokens import ASK, CHANGE, NEW
from tests.http.test_privacy import DELETE
from tests.http.test_second_factors import REFRESH
from tests.http.test_sessions import ANNA, REVOKE, REVOKE_OTHERS, goes_on, listed, sign_in

pytestmark = pytest.mark.usefixtures("own_accounts")

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
    thief, anna = await shop.account(**ANNA), await sign_in(shop)
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
    """Whoever has the tokens of a sign-in of long ago, and a code, has no proof to delete the account with."""
    thief = await shop.account(**ANNA)
    factor = await enrol(thief)
    long_ago = '[{"method": "password", "timestamp": 1000}]'
    await shop.owner.execute("update public.user_sessions set amr = $1::jsonb", long_ago)
    payload = await thief.do(REFRESH, token=thief.refresh_token)
    thief.token, thief.refresh_token = payload["accessToken"], payload["refreshToken"]
    await factor.show(thief)
    assert (await thief.refusal(DELETE, input={"confirm": True}))["code"] == "INVALID_CREDENTIALS"
    assert (await thief.do(DELETE, input={"confirm": True, "password": ANNA["password"]}))["deleted"]
