"""Attempts at somebody's account: a stranger's lock nobody out, and many strangers' are limited together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import httpx
import msgspec
import pytest

from server import create_app
from settings import Settings
from tests.authenticator import RECOVER, VERIFY, enrol
from tests.client import Client
from tests.conftest import SECRET, Shop
from tests.http.test_one_time_tokens import CHANGE, FORGOT, NEW
from tests.http.test_sessions import ANNA, SIGN_IN, sign_in

pytestmark = pytest.mark.usefixtures("own_accounts")

WRONG = {**ANNA, "password": "a guess"}
From = Callable[..., Awaitable[Client]]


@pytest.fixture
async def calling_from(shop: Shop, settings: Settings) -> AsyncIterator[From]:
    """Callers of the same service from an address of their choice, with three attempts of each kind."""
    limited = msgspec.structs.replace(settings, sign_in_attempts=3, code_attempts=3, mail_attempts=3)
    app = create_app(limited, shop.dsns.api, SECRET, background=())
    async with app.router.lifespan_context(app), AsyncExitStack() as stack:

        async def client(address: str, like: Client | None = None) -> Client:
            transport = httpx.ASGITransport(app=app, client=(address, 1))
            http = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://shop"))
            return Client(http, like.token if like else None)

        yield client


async def test_a_strangers_guesses_do_not_lock_the_owner_out(shop: Shop, calling_from: From) -> None:
    await shop.account(**ANNA)
    stranger, anna = await calling_from("203.0.113.1"), await calling_from("198.51.100.1")
    for _ in range(3):
        assert (await stranger.refusal(SIGN_IN, input=WRONG))["code"] == "INVALID_CREDENTIALS"
    for _ in range(50):  # far more than there may be from everywhere: what is refused does not count
        assert await stranger.code(SIGN_IN, input=WRONG) == "RATE_LIMITED"
        stranger = await calling_from("203.0.113.1")
    await anna.do(SIGN_IN, input=ANNA)
    assert await stranger.code(SIGN_IN, input=ANNA) == "RATE_LIMITED"


async def test_guesses_from_everywhere_are_limited_together(shop: Shop, calling_from: From) -> None:
    await shop.account(**ANNA)
    for number in range(10):
        guesser = await calling_from(f"203.0.113.{number}")
        for _ in range(3):
            assert (await guesser.refusal(SIGN_IN, input=WRONG))["code"] == "INVALID_CREDENTIALS"
    answer = await (await calling_from("198.51.100.1")).post(SIGN_IN, input=ANNA)
    assert answer.json()["errors"][0]["extensions"] == {"code": "RATE_LIMITED", "retryAfter": 3600}


async def test_one_household_guesses_as_one_and_a_site_has_more(shop: Shop, calling_from: From) -> None:
    await shop.account(**ANNA)
    for number in range(3):
        await (await calling_from(f"2001:db8:aa:1::{number}")).refusal(SIGN_IN, input=WRONG)
    assert await (await calling_from("2001:db8:aa:1::ffff")).code(SIGN_IN, input=WRONG) == "RATE_LIMITED"
    for number in range(2, 9):
        for _ in range(3):
            await (await calling_from(f"2001:db8:aa:{number}::1")).refusal(SIGN_IN, input=WRONG)
    assert await (await calling_from("2001:db8:aa:99::1")).code(SIGN_IN, input=WRONG) == "RATE_LIMITED"
    await (await calling_from("2001:db8:bb:1::1")).do(SIGN_IN, input=ANNA)


async def test_a_strangers_requests_do_not_keep_the_owner_from_a_mail(shop: Shop, calling_from: From) -> None:
    stranger = await calling_from("203.0.113.1")
    for _ in range(3):
        await stranger.do(FORGOT, email=ANNA["email"])
    assert await stranger.code(FORGOT, email=ANNA["email"]) == "RATE_LIMITED"
    await (await calling_from("198.51.100.1")).do(FORGOT, email=ANNA["email"])


async def test_a_thief_does_not_use_up_the_owners_attempts_at_password_and_codes(
    shop: Shop, calling_from: From
) -> None:
    app = await enrol(owner := await shop.verified_account(**ANNA))
    await app.show(owner)
    thief = await calling_from("203.0.113.1", await sign_in(shop))
    anna = await calling_from("198.51.100.1", await sign_in(shop))
    for _ in range(3):
        refused = await thief.refusal(VERIFY, factor=app.factor_id, code=app.wrong_code())
        assert refused["code"] == "INVALID_CREDENTIALS"
    assert await thief.code(RECOVER, code="aaaa-aaaa-aaaa-aaaa") == "RATE_LIMITED"
    await app.show(anna, 1)
    thief.token = anna.token
    for _ in range(3):
        assert (await thief.refusal(CHANGE, current="a guess", new=NEW))["code"] == "INVALID_CREDENTIALS"
    assert await thief.code(CHANGE, current=ANNA["password"], new=NEW) == "RATE_LIMITED"
    await anna.do(CHANGE, current=ANNA["password"], new=NEW)
