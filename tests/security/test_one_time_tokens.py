"""Tokens from mails: one use, a short life, one purpose, and no word of who has an account."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest

from server import create_app
from settings import Settings
from tests.authenticator import enrol
from tests.client import Client
from tests.conftest import SECRET, Shop
from tests.http.test_one_time_tokens import ASK, CHANGE, FORGOT, NEW, RESET, VERIFY, is_verified, reset_token
from tests.http.test_second_factors import factors
from tests.http.test_sessions import ANNA, SIGN_IN, goes_on, sign_in
from tests.mailbox import Mailbox
from tests.security.test_accounts import dump

pytestmark = pytest.mark.usefixtures("own_accounts")

REFUSED = {"code": "INVALID_CREDENTIALS", "field": ["token"]}


@pytest.fixture
async def strict(shop: Shop, settings: Settings) -> AsyncIterator[Client]:
    """A caller without a token of the same service with three attempts of each kind."""
    limited = msgspec.structs.replace(settings, sign_in_attempts=3, mail_attempts=3)
    app = create_app(limited, shop.dsns.api, SECRET)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop") as http,
    ):
        yield Client(http)


async def can_sign_in(shop: Shop, password: str) -> bool:
    answer = await shop.client().ask(SIGN_IN, input={**ANNA, "password": password})
    return not answer["signIn"]["userErrors"]


async def test_a_token_works_once(shop: Shop, mailbox: Mailbox) -> None:
    await shop.account(**ANNA)
    await mailbox.collect(shop.services)
    for token, document, given in (
        (mailbox.token("verify-email"), VERIFY, {}),
        (await reset_token(shop, mailbox), RESET, {"new": NEW}),
    ):
        await shop.client().do(document, token=token, **given)
        assert await shop.client().refusal(document, token=token, **given) == REFUSED


async def test_of_many_who_use_a_token_at_once_one_succeeds(shop: Shop, mailbox: Mailbox) -> None:
    await shop.account(**ANNA)
    token = await reset_token(shop, mailbox)
    passwords = [f"password of {number}" for number in range(4)]
    answers = await asyncio.gather(*(shop.client().ask(RESET, token=token, new=new) for new in passwords))
    taken = [new for new, answer in zip(passwords, answers, strict=True) if not answer["resetPassword"]["userErrors"]]
    assert [new for new in passwords if await can_sign_in(shop, new)] == taken
    assert len(taken) == 1


async def test_an_expired_token_is_refused(shop: Shop, mailbox: Mailbox) -> None:
    anna = await shop.account(**ANNA)
    token = await reset_token(shop, mailbox)
    lifetimes = await shop.owner.fetch(
        "select kind, extract(epoch from expires_at - created_at)::int from private.one_time_tokens order by kind"
    )
    assert [tuple(row) for row in lifetimes] == [("reset_password", 3600), ("verify_email", 3 * 24 * 3600)]
    await shop.owner.execute("update private.one_time_tokens set expires_at = now()")
    assert await shop.client().refusal(RESET, token=token, new=NEW) == REFUSED
    assert await shop.client().refusal(VERIFY, token=mailbox.token("verify-email")) == REFUSED
    assert await can_sign_in(shop, ANNA["password"])
    assert not await is_verified(anna)


async def test_a_token_is_good_for_one_purpose(shop: Shop, mailbox: Mailbox) -> None:
    anna = await shop.account(**ANNA)
    token = await reset_token(shop, mailbox)
    assert await shop.client().refusal(VERIFY, token=token) == REFUSED
    assert await shop.client().refusal(RESET, token=mailbox.token("verify-email"), new=NEW) == REFUSED
    assert await shop.client().refusal(RESET, token=anna.refresh_token, new=NEW) == REFUSED
    assert await shop.client().refusal(RESET, token=anna.token, new=NEW) == REFUSED
    assert not await is_verified(anna)
    await shop.client().do(RESET, token=token, new=NEW)


async def test_asking_again_voids_what_was_sent_before(shop: Shop, mailbox: Mailbox) -> None:
    await shop.account(**ANNA)
    first, second = await reset_token(shop, mailbox), await reset_token(shop, mailbox)
    assert await shop.client().refusal(RESET, token=first, new=NEW) == REFUSED
    await shop.client().do(RESET, token=second, new=NEW)


async def test_a_changed_password_voids_the_token_of_a_forgotten_one(shop: Shop, mailbox: Mailbox) -> None:
    anna = await shop.account(**ANNA)
    token = await reset_token(shop, mailbox)
    await anna.do(CHANGE, current=ANNA["password"], new=NEW)
    assert await shop.client().refusal(RESET, token=token, new="another one") == REFUSED
    assert await can_sign_in(shop, NEW)


async def test_a_token_sent_to_a_former_address_is_refused(shop: Shop, mailbox: Mailbox) -> None:
    anna = await shop.account(**ANNA)
    token = await reset_token(shop, mailbox)
    await shop.owner.execute("update auth.users set email = 'new@people.example'")
    assert await shop.client().refusal(VERIFY, token=mailbox.token("verify-email")) == REFUSED
    assert await shop.client().refusal(RESET, token=token, new=NEW) == REFUSED
    assert not await is_verified(anna)


async def test_a_token_is_for_its_own_account_whoever_uses_it(shop: Shop, mailbox: Mailbox) -> None:
    anna, thief = await shop.account(**ANNA), await shop.account("thief@people.example", "thief's own")
    await mailbox.collect(shop.services)
    await thief.do(ASK)
    await mailbox.collect(shop.services)
    await anna.do(VERIFY, token=mailbox.token("verify-email"))
    assert (await is_verified(anna), await is_verified(thief)) == (False, True)


async def test_a_new_password_ends_every_session_and_leaves_the_second_factor(shop: Shop, mailbox: Mailbox) -> None:
    anna = await shop.account(**ANNA)
    app = await enrol(anna)
    await app.show(anna)
    other = await shop.account()
    await shop.client().do(RESET, token=await reset_token(shop, mailbox), new=NEW)
    assert not await goes_on(shop, anna)
    assert await goes_on(shop, other)
    back = await sign_in(shop, password=NEW)
    assert [(f["id"], f["isVerified"]) for f in await factors(back)] == [(app.factor_id, True)]
    assert (await back.refusal(CHANGE, current=NEW, new="another one"))["code"] == "SECOND_FACTOR_REQUIRED"


async def test_asking_for_a_new_password_tells_nobody_who_has_an_account(shop: Shop) -> None:
    await shop.account(**ANNA)
    emails = (ANNA["email"], "nobody@people.example", "nothing", "", "\0", "é" * 300)
    answers = [await shop.client().post(FORGOT, email=email) for email in emails]
    assert len({(answer.status_code, answer.text) for answer in answers}) == 1
    assert answers[0].json() == {"data": {"requestPasswordReset": {"userErrors": []}}}


async def test_it_takes_about_as_long_for_an_unknown_email(shop: Shop, settings: Settings) -> None:
    await shop.account(**ANNA)
    patient = msgspec.structs.replace(settings, mail_attempts=1000)
    app = create_app(patient, shop.dsns.api, SECRET)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop") as http,
    ):
        caller = Client(http)

        async def took(email: str) -> float:
            started = time.perf_counter()
            await caller.do(FORGOT, email=email)
            return time.perf_counter() - started

        pairs = [(await took(ANNA["email"]), await took("nobody@people.example")) for _ in range(40)]
    known, unknown = (statistics.median(side) for side in zip(*pairs, strict=True))
    assert known < 2 * unknown  # a mail that is sent on the spot, or a password hash, is far more than twice


async def test_mails_are_limited_alike_for_known_and_unknown_emails(shop: Shop, strict: Client) -> None:
    await shop.account(**ANNA)
    for email in (ANNA["email"], "nobody@people.example"):
        for spelling in (email, email.upper(), f" {email} "):
            await strict.do(FORGOT, email=spelling)
        assert await strict.code(FORGOT, email=email) == "RATE_LIMITED"
    assert await shop.owner.fetchval("select count(*) from private.outbox where template = 'reset_password'") == 3


async def test_an_address_asks_for_so_many_mails(shop: Shop, strict: Client) -> None:
    for number in range(30):
        await strict.do(FORGOT, email=f"{number}@people.example")
    assert await strict.code(FORGOT, email="another@people.example") == "RATE_LIMITED"


async def test_a_person_asks_for_so_many_mails(shop: Shop, strict: Client) -> None:
    await strict.sign_up(**ANNA)
    for _ in range(3):
        await strict.do(ASK)
    assert await strict.code(ASK) == "RATE_LIMITED"


async def test_guesses_of_the_present_password_are_limited(shop: Shop, strict: Client) -> None:
    await strict.sign_up(**ANNA)
    for _ in range(3):
        assert (await strict.refusal(CHANGE, current="a guess", new=NEW))["code"] == "INVALID_CREDENTIALS"
    assert await strict.code(CHANGE, current=ANNA["password"], new=NEW) == "RATE_LIMITED"


async def test_who_knows_the_password_signs_in_as_often_as_they_like(shop: Shop, strict: Client) -> None:
    await shop.account(**ANNA)
    for _ in range(5):
        await strict.do(SIGN_IN, input=ANNA)
    for _ in range(3):
        await strict.refusal(SIGN_IN, input={**ANNA, "password": "a guess"})
    assert await strict.code(SIGN_IN, input=ANNA) == "RATE_LIMITED"


async def test_guesses_of_tokens_are_limited(shop: Shop, strict: Client) -> None:
    """Each costs a password hash."""
    answers: list[Any] = await asyncio.gather(*(strict.post(RESET, token="x", new=NEW) for _ in range(31)))
    codes = [answer.json()["errors"][0]["extensions"]["code"] for answer in answers if "errors" in answer.json()]
    assert codes == ["RATE_LIMITED"]


async def test_a_dump_of_the_database_holds_no_token_before_or_after_it_was_sent(shop: Shop, mailbox: Mailbox) -> None:
    await shop.account(**ANNA)
    await shop.client().do(FORGOT, email=ANNA["email"])
    before = await dump(shop)
    await mailbox.collect(shop.services)
    after = await dump(shop)
    for token in (mailbox.token("verify-email"), mailbox.token("reset-password")):
        for secret in (token, token.encode().hex()):
            assert secret not in before
            assert secret not in after
    assert before.count(ANNA["email"]) >= 4
