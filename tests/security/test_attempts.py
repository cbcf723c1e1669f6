"""Attempts at somebody's account: a stranger's lock nobody out, and many strangers' are limited together."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import httpx
import msgspec
import pytest

from domain.pseudonyms import PERIOD_SECONDS
from server import create_app
from settings import Settings
from tests.authenticator import RECOVER, VERIFY, enrol
from tests.client import SIGN_UP, Client
from tests.conftest import SECRET, Shop
from tests.http.test_one_time_tokens import ASK, CHANGE, FORGOT, NEW
from tests.http.test_sessions import ANNA, SIGN_IN, sign_in

pytestmark = pytest.mark.usefixtures("own_accounts")

ERASE = "mutation { deleteMyAccount(input: {confirm: true}) { userErrors { code } } }"
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


async def signed_in(calling_from: From, address: str) -> Client:
    client = await calling_from(address)
    client.token = (await client.do(SIGN_IN, input=ANNA))["accessToken"]
    return client


async def guess_from_everywhere(calling_from: From) -> None:
    """Until the total of the hour is used up."""
    for number in range(10):
        guesser = await calling_from(f"203.0.113.{number}")
        for _ in range(3):
            assert (await guesser.refusal(SIGN_IN, input=WRONG))["code"] == "INVALID_CREDENTIALS"
    assert await (await calling_from("203.0.113.99")).code(SIGN_IN, input=WRONG) == "RATE_LIMITED"


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
    await guess_from_everywhere(calling_from)
    answer = await (await calling_from("198.51.100.1")).post(SIGN_IN, input=ANNA)
    assert answer.json()["errors"][0]["extensions"] == {"code": "RATE_LIMITED", "retryAfter": 3600}


async def test_one_household_guesses_as_one_and_a_site_has_a_fifth_of_all(shop: Shop, calling_from: From) -> None:
    await shop.account(**ANNA)
    for number in range(3):
        await (await calling_from(f"2001:db8:aa:1::{number}")).refusal(SIGN_IN, input=WRONG)
    assert await (await calling_from("2001:db8:aa:1::ffff")).code(SIGN_IN, input=WRONG) == "RATE_LIMITED"
    for _ in range(3):
        await (await calling_from("2001:db8:aa:2::1")).refusal(SIGN_IN, input=WRONG)
    assert await (await calling_from("2001:db8:aa:99::1")).code(SIGN_IN, input=WRONG) == "RATE_LIMITED"
    await (await calling_from("2001:db8:bb:1::1")).do(SIGN_IN, input=ANNA)


@pytest.mark.parametrize("home", ["198.51.100.1", "2001:db8:cc:1::1"])
async def test_everybodys_guesses_do_not_lock_the_owner_out_of_their_own_network(
    shop: Shop, calling_from: From, home: str
) -> None:
    await shop.account(**ANNA)
    anna = await calling_from(home)
    await anna.do(SIGN_IN, input=ANNA)
    await guess_from_everywhere(calling_from)
    assert await (await calling_from("192.0.2.7")).code(SIGN_IN, input=ANNA) == "RATE_LIMITED"
    for _ in range(5):
        await anna.do(SIGN_IN, input=ANNA)
    for _ in range(3):
        assert (await anna.refusal(SIGN_IN, input=WRONG))["code"] == "INVALID_CREDENTIALS"
    assert await anna.code(SIGN_IN, input=ANNA) == "RATE_LIMITED", "but guesses from there have an end, too"


async def test_a_network_is_recognised_after_the_key_of_its_hashes_has_changed(
    shop: Shop, calling_from: From, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.account(**ANNA)
    anna = await calling_from("198.51.100.1")
    month_ago = time.time() - PERIOD_SECONDS
    with monkeypatch.context() as earlier:
        earlier.setattr("resolvers.sessions.time.time", lambda: month_ago)
        await anna.do(SIGN_IN, input=ANNA)
    await guess_from_everywhere(calling_from)
    await anna.do(SIGN_IN, input=ANNA)


async def test_a_device_that_is_signed_in_is_recognised_anywhere_and_has_a_limit_of_its_own(
    shop: Shop, calling_from: From
) -> None:
    anna, ben = await shop.account(**ANNA), await shop.account(email="ben@people.example")
    await guess_from_everywhere(calling_from)
    assert await (await calling_from("192.0.2.7", ben)).code(SIGN_IN, input=ANNA) == "RATE_LIMITED"
    await (await calling_from("192.0.2.8", anna)).do(SIGN_IN, input=ANNA)
    for number in range(3):
        thief = await calling_from(f"192.0.2.{number + 9}", anna)
        assert (await thief.refusal(SIGN_IN, input=WRONG))["code"] == "INVALID_CREDENTIALS"
    assert await (await calling_from("192.0.2.50", anna)).code(SIGN_IN, input=ANNA) == "RATE_LIMITED"


async def test_a_session_that_has_ended_is_no_device(shop: Shop, calling_from: From) -> None:
    anna = await shop.account(**ANNA)
    await guess_from_everywhere(calling_from)
    await anna.do("mutation { signOut { signedOut userErrors { code } } }")
    assert await (await calling_from("192.0.2.8", anna)).code(SIGN_IN, input=ANNA) == "RATE_LIMITED"


async def test_a_thief_of_the_password_does_not_lock_the_owner_out_of_the_second_factor(
    shop: Shop, calling_from: From
) -> None:
    """Nor has the thief more guesses for having signed in, from wherever."""
    app = await enrol(await shop.verified_account(**ANNA))
    await app.show(await signed_in(calling_from, "198.51.100.1"))
    for number in range(10):
        thief = await signed_in(calling_from, f"203.0.113.{number}")
        for _ in range(3):
            refused = await thief.refusal(VERIFY, factor=app.factor_id, code=app.wrong_code())
            assert refused["code"] == "INVALID_CREDENTIALS"
    thief = await signed_in(calling_from, "203.0.113.0")
    assert await thief.code(VERIFY, factor=app.factor_id, code=app.code(1)) == "RATE_LIMITED"
    thief = await signed_in(calling_from, "203.0.113.50")
    assert await thief.code(VERIFY, factor=app.factor_id, code=app.code(1)) == "RATE_LIMITED"
    await app.show(await signed_in(calling_from, "198.51.100.1"), 1)


async def test_mails_to_an_address_are_bounded_and_the_owner_gets_one_at_home(shop: Shop, calling_from: From) -> None:
    await shop.account(**ANNA)
    home = await calling_from("198.51.100.1")
    await home.do(SIGN_IN, input=ANNA)
    asked = "select count(*) from private.reset_requests"
    for number in range(20):
        stranger = await calling_from(f"203.0.113.{number}")
        for _ in range(4):
            await stranger.post(FORGOT, email=ANNA["email"])
    assert await shop.owner.fetchval(asked) == 15
    assert await (await calling_from("192.0.2.7")).code(FORGOT, email=ANNA["email"]) == "RATE_LIMITED"
    await home.do(FORGOT, email=ANNA["email"])


async def test_signing_up_over_and_over_sends_a_bounded_number_of_mails_to_an_address(
    shop: Shop, calling_from: From
) -> None:
    mails = "select count(*) from private.outbox where template = 'verify_email'"  # an erased account's go with it
    squatter = await calling_from("203.0.113.1")
    for has_mail in (1, 1, 1, 0):
        squatter.token = (await squatter.do(SIGN_UP, input=ANNA))["accessToken"]
        assert await shop.owner.fetchval(mails) == has_mail
        if has_mail:
            await squatter.do(ASK)
            await squatter.do(ERASE)
    assert await squatter.code(ASK) == "RATE_LIMITED"
    await (await calling_from("198.51.100.1", squatter)).do(ASK)


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
