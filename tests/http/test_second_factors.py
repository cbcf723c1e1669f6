"""A code of an app beside the password."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import jwt

from tests.authenticator import ENROL, RECOVER, RECOVERY_CODES, REMOVE, VERIFY, enrol
from tests.client import Client
from tests.conftest import Shop
from tests.http.test_sessions import ANNA, sign_in

FACTORS = "{ me { secondFactors { id name isVerified createdAt } } }"
REFRESH = """
mutation ($token: String!) {
  refreshSession(input: {refreshToken: $token}) { accessToken refreshToken userErrors { code } }
}
"""


def claims(client: Client) -> dict[str, Any]:
    read: dict[str, Any] = jwt.decode(client.token or "", options={"verify_signature": False})
    return read


async def factors(client: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.ask(FACTORS))["me"]["secondFactors"]
    return found


async def test_enrolling_gives_what_an_app_needs(shop: Shop) -> None:
    anna = await shop.verified_account(**ANNA)
    enrolled = await anna.do(ENROL, name="  My   phone ")
    uri = urlsplit(enrolled["uri"])
    assert (uri.scheme, uri.netloc, unquote(uri.path)) == ("otpauth", "totp", f"/Aclue:{ANNA['email']}")
    assert parse_qs(uri.query) == {"secret": [enrolled["secret"]], "issuer": ["Aclue"]}
    (listed,) = await factors(anna)
    assert (listed["id"], listed["name"], listed["isVerified"]) == (enrolled["factorId"], "My phone", False)


async def test_a_first_code_verifies_the_factor_and_raises_the_session(shop: Shop) -> None:
    anna = await shop.verified_account(**ANNA)
    app = await enrol(anna)
    before = claims(anna)
    await app.show(anna)
    after = claims(anna)
    assert (before["aal"], after["aal"]) == ("aal1", "aal2")
    assert [m["method"] for m in after["amr"]] == ["password", "totp"]
    assert after["amr"][0] == before["amr"][0]
    assert after["iat"] - 5 <= after["amr"][1]["timestamp"] <= after["iat"]
    assert after["session_id"] == before["session_id"]
    assert [f["isVerified"] for f in await factors(anna)] == [True]


async def test_signing_in_takes_the_password_and_then_a_code(shop: Shop) -> None:
    app = await enrol(anna := await shop.verified_account(**ANNA))
    await app.show(anna)
    desk = await sign_in(shop)
    assert (claims(desk)["aal"], [m["method"] for m in claims(desk)["amr"]]) == ("aal1", ["password"])
    await app.show(desk, 1)
    assert claims(desk)["aal"] == "aal2"
    assert await desk.my_id() == await anna.my_id()


async def test_a_refreshed_session_stays_as_it_was_proved(shop: Shop) -> None:
    app = await enrol(anna := await shop.verified_account(**ANNA))
    await app.show(anna)
    desk = await sign_in(shop)
    for client, aal in ((anna, "aal2"), (desk, "aal1")):
        before = claims(client)
        payload = await client.do(REFRESH, token=client.refresh_token)
        client.token = payload["accessToken"]
        assert (claims(client)["aal"], claims(client)["amr"]) == (aal, before["amr"])


async def test_a_code_may_be_a_step_early_or_late_and_hold_spaces(shop: Shop) -> None:
    app = await enrol(anna := await shop.verified_account(**ANNA))
    code = app.code(1)
    await anna.do(VERIFY, factor=app.factor_id, code=f" {code[:3]} {code[3:]} ")


async def test_codes_that_are_wrong(shop: Shop) -> None:
    app = await enrol(anna := await shop.verified_account(**ANNA))
    for wrong in (app.wrong_code(), "", "\u0661\u0662\u0663\u0664\u0665\u0666", app.code(0) + "0"):
        refused = await anna.refusal(VERIFY, factor=app.factor_id, code=wrong)
        assert refused == {"code": "INVALID_CREDENTIALS", "field": ["code"]}
    await app.show(anna)


async def test_a_factor_that_was_never_verified_gives_way_to_the_next(shop: Shop) -> None:
    anna = await shop.verified_account(**ANNA)
    first, second = await enrol(anna), await enrol(anna)
    assert [f["id"] for f in await factors(anna)] == [second.factor_id]
    assert (await anna.refusal(VERIFY, factor=first.factor_id, code=first.code()))["code"] == "NOT_FOUND"


async def test_a_second_factor_is_removed_after_it_was_shown(shop: Shop) -> None:
    app = await enrol(anna := await shop.verified_account(**ANNA))
    await app.show(anna)
    removed = await anna.do(REMOVE, factor=app.factor_id)
    assert removed["profile"] == {"secondFactors": []}
    payload = await anna.do(REFRESH, token=anna.refresh_token)
    anna.token = payload["accessToken"]
    assert (claims(anna)["aal"], [m["method"] for m in claims(anna)["amr"]]) == ("aal1", ["password"])


async def test_several_factors_and_any_of_them_will_do(shop: Shop) -> None:
    anna = await shop.verified_account(**ANNA)
    phone = await enrol(anna, "phone")
    await phone.show(anna)
    tablet = await enrol(anna, "tablet")
    await tablet.show(anna)
    assert [(f["name"], f["isVerified"]) for f in await factors(anna)] == [("phone", True), ("tablet", True)]
    await anna.do(REMOVE, factor=phone.factor_id)
    desk = await sign_in(shop)
    await tablet.show(desk, 1)
    assert claims(desk)["aal"] == "aal2"


async def test_there_may_be_so_many_factors(shop: Shop) -> None:
    app = await enrol(anna := await shop.verified_account(**ANNA))
    await app.show(anna)
    await shop.owner.execute(
        "insert into auth.mfa_factors (user_id, factor_type, status)"
        " select id, 'totp', 'verified' from auth.users, generate_series(1, 9)"
    )
    assert (await anna.refusal(ENROL))["code"] == "LIMIT_REACHED"


async def test_factors_are_for_accounts(shop: Shop) -> None:
    visitor = await shop.anonymous()
    assert await factors(visitor) == []
    for caller, code in ((visitor, "FORBIDDEN"), (shop.client(), "UNAUTHENTICATED")):
        assert await caller.code(ENROL) == code
        assert await caller.code(VERIFY, factor="x", code="000000") == code
        assert await caller.code(REMOVE, factor="x") == code


async def test_a_name_that_is_too_long(shop: Shop) -> None:
    anna = await shop.verified_account(**ANNA)
    refused = await anna.refusal(ENROL, name="x" * 101)
    assert (refused["code"], refused["field"]) == ("INVALID", ["name"])


async def test_a_recovery_code_replaces_a_lost_phone(shop: Shop) -> None:
    app = await enrol(anna := await shop.verified_account(**ANNA))
    await app.show(anna)
    codes = (await anna.do(RECOVERY_CODES))["codes"]
    assert len(set(codes)) == 10
    back = await sign_in(shop)
    payload = await back.do(RECOVER, code=codes[3].upper().replace("-", " "))
    back.token = payload["accessToken"]
    assert (claims(back)["aal"], [m["method"] for m in claims(back)["amr"]]) == ("aal2", ["password", "recovery_code"])
    await back.do(REMOVE, factor=app.factor_id)
    new = await enrol(back, "new phone")
    await new.show(back)
    assert [f["name"] for f in await factors(back)] == ["new phone"]


async def test_there_are_no_recovery_codes_without_a_factor(shop: Shop) -> None:
    anna = await shop.verified_account(**ANNA)
    await enrol(anna)  # not verified
    assert (await anna.refusal(RECOVERY_CODES))["code"] == "CONFLICT"
    assert await (await shop.anonymous()).code(RECOVERY_CODES) == "FORBIDDEN"
    assert await shop.client().code(RECOVER, code="x") == "UNAUTHENTICATED"
