"""Limits by network address: one household counts as one, however many addresses it has and however it writes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from server import create_app
from tests.client import START
from tests.conftest import SECRET, Shop

SIGN_UP = "mutation ($input: SignUpInput!) { signUp(input: $input) { accessToken userErrors { code } } }"
SIGN_IN = "mutation ($input: SignInInput!) { signIn(input: $input) { userErrors { code } } }"
ASK_FOR_RESET = (
    "mutation ($input: RequestPasswordResetInput!) { requestPasswordReset(input: $input) { userErrors { code } } }"
)
RESET = "mutation ($input: ResetPasswordInput!) { resetPassword(input: $input) { userErrors { code } } }"
Attempt = Callable[[str], Awaitable[bool]]


class Visitors:
    """Callers anywhere, behind a proxy."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def _passes(self, address: str, query: str, **input: Any) -> bool:
        headers = {"x-forwarded-for": address}
        answer = await self.http.post("/graphql", json={"query": query, "variables": {"input": input}}, headers=headers)
        body = answer.json()
        codes = {error["extensions"]["code"] for error in body.get("errors", ())}
        if not codes:
            (payload,) = body["data"].values()
            codes = {error["code"] for error in payload.get("userErrors", ())}
        assert codes <= {"RATE_LIMITED", "INVALID_CREDENTIALS"}, body
        return "RATE_LIMITED" not in codes

    async def sign_up(self, address: str) -> bool:
        return await self._passes(address, SIGN_UP, email=f"{uuid4()}@people.example", password="correct horse")

    async def sign_in(self, address: str) -> bool:
        return await self._passes(address, SIGN_IN, email=f"{uuid4()}@people.example", password="correct horse")

    async def start(self, address: str) -> bool:
        return await self._passes(address, START)

    async def ask_for_reset(self, address: str) -> bool:
        return await self._passes(address, ASK_FOR_RESET, email=f"{uuid4()}@people.example")

    async def reset(self, address: str) -> bool:
        return await self._passes(address, RESET, token="x" * 43, newPassword="correct horse")


@asynccontextmanager
async def visited(shop: Shop, **changes: Any) -> AsyncIterator[Visitors]:
    settings = msgspec.structs.replace(shop.services.settings, trusted_proxies="127.0.0.1", **changes)
    app = create_app(settings, shop.dsns.api, SECRET, background=())
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop") as http,
    ):
        yield Visitors(http)


@pytest.mark.usefixtures("own_accounts")
@pytest.mark.parametrize(
    ("attempt", "setting", "most"),
    [
        (Visitors.sign_up, "sign_up_attempts", 2),
        (Visitors.start, "start_session_attempts", 2),
        (Visitors.sign_in, "sign_in_attempts", 10),
        (Visitors.ask_for_reset, "mail_attempts", 10),
        (Visitors.reset, "sign_in_attempts", 10),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_a_household_is_one_subject(
    shop: Shop, attempt: Callable[[Visitors, str], Awaitable[bool]], setting: str, most: int
) -> None:
    async with visited(shop, attempt_window=24 * 3600, **{setting: most if most < 10 else 1}) as visitors:
        outcomes = [await attempt(visitors, f"2001:db8:aa:1::{number:x}") for number in range(1, most + 4)]
        assert outcomes == [True] * most + [False] * 3
        assert await attempt(visitors, "2001:db8:aa:2::1")


async def test_an_address_of_ipv4_is_one_however_it_is_written(shop: Shop) -> None:
    spellings = ("198.51.100.30", "::ffff:198.51.100.30", "::ffff:c633:641e", "198.51.100.30")
    async with visited(shop, start_session_attempts=3) as visitors:
        assert [await visitors.start(each) for each in spellings] == [True, True, True, False]


async def test_a_site_may_do_eight_times_as_much_as_a_household(shop: Shop) -> None:
    async with visited(shop, start_session_attempts=2) as visitors:
        outcomes = [await visitors.start(f"2001:db8:aa:{number:x}::1") for number in range(20)]
        assert outcomes == [True] * 16 + [False] * 4
        assert await visitors.start("2001:db8:ab::1")


async def test_what_a_household_is_refused_its_site_does_not_pay_for(shop: Shop) -> None:
    async with visited(shop, start_session_attempts=1) as visitors:
        assert [await visitors.start("2001:db8:aa::1") for _ in range(20)].count(True) == 1
        assert [await visitors.start(f"2001:db8:aa:{number:x}::1") for number in range(1, 9)] == [True] * 7 + [False]


async def test_what_a_site_is_refused_its_households_do_not_pay_for(shop: Shop) -> None:
    async with visited(shop, start_session_attempts=1) as visitors:
        assert [await visitors.start(f"2001:db8:aa:{number:x}::1") for number in range(10)].count(False) == 2
        counted = await shop.owner.fetch("select attempts from private.auth_attempts order by attempts")
        assert [row["attempts"] for row in counted] == [1] * 8 + [8]


async def test_attempts_at_once_are_counted_one_by_one(shop: Shop) -> None:
    addresses = [f"2001:db8:aa:{number % 16:x}::1" for number in range(64)]
    async with visited(shop, start_session_attempts=3) as visitors:
        outcomes = await asyncio.gather(*(visitors.start(address) for address in addresses))
    assert outcomes.count(True) == 24
    assert await shop.owner.fetchval("select count(*) from private.auth_attempts where attempts = 24") == 1


async def test_following_links_counts_towards_the_site(shop: Shop) -> None:
    async with visited(shop, rate_limit_cost=100) as visitors:
        answers = [
            await visitors.http.get("/r/AAAA", headers={"x-forwarded-for": f"2001:db8:aa:{number:x}::1"})
            for number in (0, 0, *range(1, 10))
        ]
    assert [answer.status_code for answer in answers] == [404, 429, *[404] * 7, 429, 429]


@pytest.mark.parametrize("made_up", ["9.9.9.{}", "[2001:db8:{}::1]:443", "nonsense {}", "9.9.9.{}, 9.9.9.9"])
async def test_what_a_client_writes_into_the_header_is_not_believed(shop: Shop, made_up: str) -> None:
    async with visited(shop, start_session_attempts=2) as visitors:
        outcomes = [await visitors.start(f"{made_up.format(number)}, 203.0.113.9") for number in range(1, 6)]
    assert outcomes == [True, True, False, False, False]
