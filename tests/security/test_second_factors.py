"""Second factors: what a thief with the password alone can do, and what a code is worth twice."""

from __future__ import annotations

import asyncio
import base64

import asyncpg
import msgspec
import pytest

from domain import ids
from domain.sealing import Sealer
from server import create_app
from settings import Settings
from tests.authenticator import ENROL, RECOVER, RECOVERY_CODES, REMOVE, VERIFY, enrol
from tests.conftest import SECRET, Shop
from tests.http.test_one_time_tokens import CHANGE, NEW
from tests.http.test_second_factors import REFRESH, claims, factors
from tests.http.test_sessions import ANNA, REVOKE, REVOKE_OTHERS, goes_on, sign_in
from tests.security.test_accounts import dump
from tests.security.test_privacy import LONG_AGO

pytestmark = pytest.mark.usefixtures("own_accounts")

ENROL_WITH_PASSWORD = """
mutation ($password: String!) { enrolTotp(input: {password: $password}) { factorId userErrors { code } } }
"""
REQUIRED = "SECOND_FACTOR_REQUIRED"


async def test_a_code_works_once(shop: Shop) -> None:
    app = await enrol(anna := await shop.verified_account(**ANNA))
    code = app.code()
    await anna.do(VERIFY, factor=app.factor_id, code=code)
    thief = await sign_in(shop)
    refused = await thief.refusal(VERIFY, factor=app.factor_id, code=code)
    assert refused == {"code": "INVALID_CREDENTIALS", "field": ["code"]}
    earlier = app.code(-1)  # was never shown, but is older than one that was
    assert (await thief.refusal(VERIFY, factor=app.factor_id, code=earlier))["code"] == "INVALID_CREDENTIALS"
    assert claims(thief)["aal"] == "aal1"
    await app.show(thief, 1)


async def test_a_stolen_token_cannot_enrol_a_factor(shop: Shop) -> None:
    """It would lock the person out, and give the thief a refresh token."""
    anna = await shop.verified_account(**ANNA)
    await shop.owner.execute(LONG_AGO)
    thief = shop.client((await anna.do(REFRESH, token=anna.refresh_token))["accessToken"])
    refused = await thief.refusal(ENROL)
    assert refused == {"code": "INVALID_CREDENTIALS", "message": refused["message"], "field": ["password"]}
    assert (await thief.refusal(ENROL_WITH_PASSWORD, password="wrong"))["code"] == "INVALID_CREDENTIALS"
    assert await shop.owner.fetchval("select count(*) from auth.mfa_factors") == 0
    assert (await thief.do(ENROL_WITH_PASSWORD, password=ANNA["password"]))["factorId"], "and so is no thief"


async def test_no_factor_is_enrolled_or_verified_before_the_email_is(shop: Shop) -> None:
    """It would keep the owner of the address out after they have chosen a new password."""
    squatter = await shop.verified_account(**ANNA)
    app = await enrol(squatter)
    await shop.owner.execute("update auth.users set email_confirmed_at = null")
    assert (await squatter.refusal(VERIFY, factor=app.factor_id, code=app.code()))["code"] == "CONFLICT"
    assert (await squatter.refusal(ENROL))["code"] == "CONFLICT"
    account, factor = [
        ids.decode_as(*key) for key in (("Profile", await squatter.my_id()), ("SecondFactor", app.factor_id))
    ]
    assert await shop.owner.fetchval("select private.use_second_factor($1, $2, 1, true)", account, factor) is False
    assert await shop.owner.fetchval("select private.enrol_second_factor($1, null, 'x', 10)", account) is None
    assert not any(f["isVerified"] for f in await factors(squatter))


async def test_of_many_who_show_one_code_at_once_one_succeeds(shop: Shop) -> None:
    app = await enrol(anna := await shop.verified_account(**ANNA))
    await app.show(anna)
    clients = [await sign_in(shop) for _ in range(4)]
    code = app.code(1)
    answers = await asyncio.gather(*(c.ask(VERIFY, factor=app.factor_id, code=code) for c in clients))
    assert sorted(bool(answer["verifyTotp"]["accessToken"]) for answer in answers) == [False, False, False, True]


async def test_guesses_of_codes_are_limited_even_when_the_last_one_is_right(shop: Shop) -> None:
    app = await enrol(anna := await shop.verified_account(**ANNA))
    await app.show(anna)
    for _ in range(5):
        thief = await sign_in(shop)  # another session is no other account
        refused = await thief.refusal(VERIFY, factor=app.factor_id, code=app.wrong_code())
        assert refused["code"] == "INVALID_CREDENTIALS"
    assert await thief.code(VERIFY, factor=app.factor_id, code=app.code(1)) == "RATE_LIMITED"


async def test_codes_that_were_right_do_not_count(shop: Shop) -> None:
    app = await enrol(anna := await shop.verified_account(**ANNA))
    for _ in range(7):
        await app.show(anna)
        await shop.owner.execute("update auth.mfa_factors set last_used_step = null")


async def test_the_password_alone_adds_removes_and_changes_nothing(shop: Shop) -> None:
    app = await enrol(anna := await shop.verified_account(**ANNA))
    await app.show(anna)
    thief = await sign_in(shop)
    assert (await thief.refusal(ENROL))["code"] == REQUIRED
    assert (await thief.refusal(REMOVE, factor=app.factor_id))["code"] == REQUIRED
    assert (await thief.refusal(CHANGE, current=ANNA["password"], new=NEW))["code"] == REQUIRED
    assert [f["id"] for f in await factors(anna)] == [app.factor_id]


async def test_the_password_alone_signs_nobody_else_out(shop: Shop) -> None:
    app = await enrol(anna := await shop.verified_account(**ANNA))
    await app.show(anna)
    thief = await sign_in(shop)
    mine, theirs = [claims(client)["session_id"] for client in (anna, thief)]
    assert (await thief.refusal(REVOKE_OTHERS))["code"] == REQUIRED
    assert (await thief.refusal(REVOKE, id=ids.encode("Session", mine)))["code"] == REQUIRED
    assert await goes_on(shop, anna)
    assert (await anna.do(REVOKE, id=ids.encode("Session", theirs)))["session"]["revokedAt"]
    await (own := await sign_in(shop)).do(REVOKE, id=ids.encode("Session", claims(own)["session_id"]))
    await sign_in(shop)
    assert (await anna.do(REVOKE_OTHERS))["revoked"] == 1


async def test_a_factor_prepared_before_the_first_was_verified_does_not_count(shop: Shop) -> None:
    """A thief who was there first waits with a factor of their own until the owner has verified theirs."""
    thief = await shop.verified_account(**ANNA)
    prepared = await enrol(thief)
    account = ids.decode_as("Profile", await thief.my_id())
    await shop.owner.execute(
        "insert into auth.mfa_factors (user_id, factor_type, status) values ($1, 'totp', 'verified')", account
    )
    refused = await thief.refusal(VERIFY, factor=prepared.factor_id, code=prepared.code())
    assert refused["code"] == REQUIRED
    use = "select private.use_second_factor($1, $2, 1, $3)"
    factor = ids.decode_as("SecondFactor", prepared.factor_id)
    assert await shop.owner.fetchval(use, account, factor, False) is False
    assert await shop.owner.fetchval(use, account, factor, True) is True


async def test_nobody_uses_or_removes_somebody_elses_factor(shop: Shop) -> None:
    app = await enrol(anna := await shop.verified_account(**ANNA))
    await app.show(anna)
    ben = await shop.verified_account()
    bens = await enrol(ben)
    await bens.show(ben)
    assert (await ben.refusal(VERIFY, factor=app.factor_id, code=app.code(1)))["code"] == "NOT_FOUND"
    assert (await ben.refusal(REMOVE, factor=app.factor_id))["code"] == "NOT_FOUND"
    assert (await ben.refusal(VERIFY, factor=bens.factor_id, code=app.code(1)))["code"] == "INVALID_CREDENTIALS"
    assert [f["isVerified"] for f in await factors(anna)] == [True]
    assert [f["id"] for f in await factors(ben)] == [bens.factor_id]


async def test_a_refresh_token_from_before_the_code_ends_the_session_instead_of_raising_it(shop: Shop) -> None:
    app = await enrol(anna := await shop.verified_account(**ANNA))
    stolen = anna.refresh_token
    await app.show(anna)
    assert (await shop.client().refusal(REFRESH, token=stolen))["code"] == "INVALID_CREDENTIALS"
    assert (await shop.client().refusal(REFRESH, token=anna.refresh_token))["code"] == "INVALID_CREDENTIALS"


async def test_with_the_last_factor_gone_no_session_is_aal2_any_more(shop: Shop) -> None:
    app = await enrol(anna := await shop.verified_account(**ANNA))
    await app.show(anna)
    desk = await sign_in(shop)
    await app.show(desk, 1)
    await anna.do(REMOVE, factor=app.factor_id)
    desk.token = (await desk.do(REFRESH, token=desk.refresh_token))["accessToken"]
    assert (claims(desk)["aal"], [m["method"] for m in claims(desk)["amr"]]) == ("aal1", ["password"])


async def test_a_token_without_a_session_shows_no_factor(shop: Shop) -> None:
    app = await enrol(anna := await shop.verified_account(**ANNA))
    account = ids.decode_as("Profile", await anna.my_id())
    loose = shop.client(shop.token(account))
    assert await loose.code(VERIFY, factor=app.factor_id, code=app.code()) == "UNAUTHENTICATED"
    foreign = shop.client(shop.token(account, session_id=account))
    assert await foreign.code(VERIFY, factor=app.factor_id, code=app.code()) == "UNAUTHENTICATED"


async def test_secrets_are_encrypted_each_for_its_person(shop: Shop) -> None:
    anna, ben = await shop.verified_account(**ANNA), await shop.verified_account()
    app = await enrol(anna)
    await enrol(ben)
    everything = await dump(shop)
    raw = base64.b32decode(app.secret)
    for secret in (app.secret, raw.hex(), base64.b64encode(raw).decode(), app.secret.encode().hex()):
        assert secret not in everything
    assert "secret" not in (await anna.post("{ me { secondFactors { id name } } }")).text
    await shop.owner.execute(
        "update auth.mfa_factors set secret ="
        " (select secret from auth.mfa_factors f join auth.users u on u.id = f.user_id where u.email = $1)",
        ANNA["email"],
    )
    (bens,) = await factors(ben)
    assert (await ben.refusal(VERIFY, factor=bens["id"], code=app.code()))["code"] == "INVALID_CREDENTIALS"
    await app.show(anna)


async def test_an_encryption_secret_of_its_own_outlives_a_new_jwt_secret(shop: Shop, settings: Settings) -> None:
    app = await enrol(await shop.verified_account(**ANNA))
    stored = await shop.owner.fetchrow("select user_id::text, secret from auth.mfa_factors")
    assert stored is not None
    with_own = msgspec.structs.replace(settings, encryption_secret=SECRET)
    moved = create_app(with_own, shop.dsns.api, "a new secret of the tests, long enough for HS256", background=())
    async with moved.router.lifespan_context(moved):
        sealed = base64.b64decode(stored["secret"])
        assert moved.state.services.factor_sealer.open(sealed, stored["user_id"]) == app.secret
    assert Sealer(b"another", "second factor").open(sealed, stored["user_id"]) is None


@pytest.mark.parametrize("role", ["anon", "authenticated"])
async def test_a_person_reads_the_names_of_their_own_factors_alone_through_sql(shop: Shop, role: str) -> None:
    anna, ben = await shop.verified_account(**ANNA), await shop.verified_account()
    for client in (anna, ben):
        await enrol(client)
    mine, theirs = [ids.decode_as("Profile", await client.my_id()) for client in (anna, ben)]
    login = await asyncpg.connect(shop.dsns.api)
    try:
        async with login.transaction():
            await login.execute(
                "select set_config('request.jwt.claims', $1, true)", f'{{"sub":"{mine}","role":"{role}"}}'
            )
            await login.execute(f"set local role {role}")
            listed = "select * from private.second_factors_of($1)"
            (own,) = await login.fetch(listed, mine)
            assert set(own.keys()) == {"id", "name", "is_verified", "created_at"}
            assert await login.fetch(listed, theirs) == []
        async with login.transaction():
            await login.execute("set local role service_role")
            await login.execute("""select set_config('request.jwt.claims', '{"role":"service_role"}', true)""")
            assert len(await login.fetch(listed, theirs)) == 1
    finally:
        await login.close()


async def test_a_recovery_code_works_once_and_for_its_person_alone(shop: Shop) -> None:
    app = await enrol(anna := await shop.verified_account(**ANNA))
    await app.show(anna)
    ben = await shop.verified_account()
    await (await enrol(ben)).show(ben)
    code = (await anna.do(RECOVERY_CODES))["codes"][0]
    refused = {"code": "INVALID_CREDENTIALS", "field": ["code"]}
    assert await ben.refusal(RECOVER, code=code) == refused
    clients = [await sign_in(shop) for _ in range(3)]
    answers = await asyncio.gather(*(c.ask(RECOVER, code=code) for c in clients))
    assert sorted(bool(answer["verifyRecoveryCode"]["accessToken"]) for answer in answers) == [False, False, True]
    assert await (await sign_in(shop)).refusal(RECOVER, code=code) == refused


async def test_new_recovery_codes_void_the_old_and_go_with_the_last_factor(shop: Shop) -> None:
    app = await enrol(anna := await shop.verified_account(**ANNA))
    await app.show(anna)
    old, new = [(await anna.do(RECOVERY_CODES))["codes"][0] for _ in range(2)]
    assert (await anna.refusal(RECOVER, code=old))["code"] == "INVALID_CREDENTIALS"
    await anna.do(REMOVE, factor=app.factor_id)
    assert (await anna.refusal(RECOVER, code=new))["code"] == "INVALID_CREDENTIALS"
    assert await shop.owner.fetchval("select count(*) from private.recovery_codes") == 0


async def test_the_password_alone_makes_no_recovery_codes_and_guesses_of_them_are_limited(shop: Shop) -> None:
    app = await enrol(anna := await shop.verified_account(**ANNA))
    await app.show(anna)
    code = (await anna.do(RECOVERY_CODES))["codes"][0]
    thief = await sign_in(shop)
    assert (await thief.refusal(RECOVERY_CODES))["code"] == REQUIRED
    for _ in range(5):
        assert (await thief.refusal(RECOVER, code="aaaa-aaaa-aaaa-aaaa"))["code"] == "INVALID_CREDENTIALS"
    assert await thief.code(RECOVER, code=code) == "RATE_LIMITED"
    assert await thief.code(VERIFY, factor=app.factor_id, code=app.code(1)) == "RATE_LIMITED"
    assert code.replace("-", "") not in (await dump(shop)).replace("-", "")
