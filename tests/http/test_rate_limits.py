"""Rate limits over HTTP: 429 before anything runs, and when to come again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from domain import affiliate
from schema import context
from server import create_app
from services.rate_limits import MAX_DEBT_SECONDS
from tests.client import START
from tests.conftest import SECRET, Shop
from tests.http.test_cancelling import locked, working
from tests.http.test_session_merges import MERGE
from transports import requests
from transports.requests import Reader

PAGE = {"query": "{ products(first: 100) { nodes { id } } }"}


@pytest.fixture
async def http(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setattr(context, "FREE_SECONDS", 3600)  # a busy machine takes long for anything
    settings = msgspec.structs.replace(
        shop.services.settings, rate_limit_cost=2000, rate_limit_address_cost=6000, start_session_attempts=100
    )
    app = create_app(settings, shop.dsns.api, SECRET, background=())
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop") as client,
    ):
        yield client


async def test_a_caller_over_the_limit_has_to_wait(http: httpx.AsyncClient) -> None:
    answers = [await http.post("/graphql", json=PAGE) for _ in range(11)]
    assert [answer.status_code for answer in answers[:9]] == [200] * 9
    refused = answers[-1]
    (error,) = refused.json()["errors"]
    assert (refused.status_code, error["extensions"]["code"]) == (429, "RATE_LIMITED")
    assert refused.headers["retry-after"] == str(error["extensions"]["retryAfter"])
    assert 1 <= error["extensions"]["retryAfter"] <= 60
    assert "data" not in refused.json()


async def test_another_person_at_the_same_address_does_not(http: httpx.AsyncClient, shop: Shop) -> None:
    while (await http.post("/graphql", json=PAGE)).status_code == 200:
        pass
    token = (await shop.anonymous()).token
    answer = await http.post("/graphql", json=PAGE, headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 200


async def test_starting_sessions_costs_more_than_it_answers(http: httpx.AsyncClient) -> None:
    answers = [await http.post("/graphql", json={"query": START}) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]


async def test_a_forwarded_address_of_anybodys_is_not_believed(http: httpx.AsyncClient) -> None:
    answers = [
        await http.post("/graphql", json=PAGE, headers={"x-forwarded-for": f"192.0.2.{number}"}) for number in range(12)
    ]
    assert answers[-1].status_code == 429


async def test_following_links_has_its_limit_too(http: httpx.AsyncClient) -> None:
    answers = [await http.get("/r/AAAA") for _ in range(25)]
    assert [answer.status_code for answer in answers] == [404] * 20 + [429] * 5
    assert int(answers[-1].headers["retry-after"]) >= 1


@pytest.mark.parametrize("hangs_up", [False, True])
async def test_what_a_request_took_of_postgres_is_charged_afterwards(
    http: httpx.AsyncClient, shop: Shop, monkeypatch: pytest.MonkeyPatch, hangs_up: bool
) -> None:
    """Its price is 22; the statement waits for a lock, which takes as long as work would."""
    query = {"query": "{ brands(first: 10) { nodes { id } } }"}
    assert (await http.post("/graphql", json=query)).status_code == 200
    monkeypatch.setattr(context, "FREE_SECONDS", 0.05)
    async with locked(shop, "brands"):
        slow = asyncio.create_task(http.post("/graphql", json=query))
        await working(shop, 1)
        await asyncio.sleep(0.3)
        if hangs_up:
            slow.cancel()
            await asyncio.gather(slow, return_exceptions=True)
    if not hangs_up:
        assert (await slow).status_code == 200
    refused = await http.post("/graphql", json=query)
    assert refused.status_code == 429
    assert 20 <= int(refused.headers["retry-after"]) <= MAX_DEBT_SECONDS + 2
    token = (await shop.anonymous()).token
    other = await http.post("/graphql", json=query, headers={"authorization": f"Bearer {token}"})
    assert other.status_code == 429, "the network owes as well"


async def test_what_short_requests_take_is_charged_once_it_is_much(
    http: httpx.AsyncClient, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each waits for a lock, which takes as long as work would: the first is forgiven, the second owes."""
    monkeypatch.setattr(context, "FREE_SECONDS", 0.1)
    monkeypatch.setattr("services.rate_limits.SHORT_SECONDS", 3600)
    query = {"query": "{ brands(first: 10) { nodes { id } } }"}
    answers = []
    for _ in range(3):
        async with locked(shop, "brands"):
            slow = asyncio.create_task(http.post("/graphql", json=query))
            await asyncio.sleep(0.3)
        answers.append((await slow).status_code)
    assert answers == [200, 200, 429]


async def test_sessions_that_a_resolver_opens_itself_are_charged_too(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, account = await shop.anonymous(), await shop.account()
    monkeypatch.setattr(context, "FREE_SECONDS", 0.05)
    monkeypatch.setattr(shop.services.rate_limits, "_per_caller", 2000)
    async with locked(shop, "session_merges"):
        slow = asyncio.create_task(account.post(MERGE, token=session.refresh_token))
        await working(shop, 1)
        await asyncio.sleep(0.3)
    assert (await slow).json()["data"]["mergeSession"]["userErrors"] == []
    assert (await account.post("{ me { id } }")).status_code == 429


async def test_a_visit_is_charged_for_its_time(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop.services.rate_limits, "_per_caller", 2000)
    shop.services.rate_limits._of_address.cache_clear()
    path = f"/r/{affiliate.encode_token(uuid4())}"
    async with locked(shop, "affiliate_clicks"):
        slow = asyncio.create_task(shop.http.get(path))
        await working(shop, 1)
        await asyncio.sleep(0.3)
    assert (await slow).status_code == 404
    assert (await shop.http.get(path)).status_code == 429


async def test_slow_requests_of_one_network_leave_connections_for_others(shop: Shop) -> None:
    settings = msgspec.structs.replace(
        shop.services.settings, database_pool_size=3, database_max_overflow=0, request_timeout=60, shed_latency=0
    )
    app = create_app(settings, shop.dsns.api, SECRET, background=())

    def at(address: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(app=app, client=(address, 1)), base_url="http://shop")

    slow, fast = {"query": "{ brands(first: 10) { nodes { id } } }"}, {"query": "{ retailers { slug } }"}
    async with app.router.lifespan_context(app), at("192.0.2.1") as crowd, at("198.51.100.1") as other:
        async with locked(shop, "brands"):
            waiting = [asyncio.create_task(crowd.post("/graphql", json=slow)) for _ in range(5)]
            await working(shop, 2)
            answer = await asyncio.wait_for(other.post("/graphql", json=fast), 20)
            assert len(answer.json()["data"]["retailers"]) == 3
        assert [each.status_code for each in await asyncio.gather(*waiting)] == [200] * 5


JSON = {"content-type": "application/json"}
LONE = "\\ud800"


def body_of(size: int, end: str = "") -> str:
    """Of many small values, which take the longest to parse."""
    members = ",".join(f'"{number}":0' for number in range(size // 12))
    return f'{{"query":"{{__typename}}","variables":{{{members},"z":"{end}"}}}}'


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        ("{", {}, 400),
        ("[]", {}, 400),
        ("{}", {}, 400),
        ('{"query": 7}', {}, 400),
        ('{"query": "{ __typename }"}', {"authorization": "Bearer x"}, 401),
        ('{"documentId": "x"}', {}, 200),
    ],
    ids=["no JSON", "a list", "no query", "no text", "a bad token", "an unknown document"],
)
async def test_what_is_refused_has_its_price(
    http: httpx.AsyncClient, content: str, headers: dict[str, str], status: int
) -> None:
    content += " " * 9_000  # costs 90
    answers = [await http.post("/graphql", content=content, headers={**JSON, **headers}) for _ in range(80)]
    assert answers[0].status_code == status
    assert "errors" in answers[0].json()
    assert [answer.status_code for answer in answers].index(429) > 50


async def test_what_a_get_is_refused_for_has_its_price(http: httpx.AsyncClient) -> None:
    answers = [await http.get("/graphql", params={"variables": "x" * 30_000}) for _ in range(30)]
    assert [answers[0].status_code, answers[-1].status_code] == [400, 429]


async def test_a_large_body_is_paid_for_before_it_is_parsed(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = []
    read = Reader.from_body

    def counted(self: Reader, body: bytes) -> Any:
        parsed.append(len(body))
        return read(self, body)

    monkeypatch.setattr(Reader, "from_body", counted)
    content = body_of(900_000, LONE)
    answers = [await http.post("/graphql", content=content, headers=JSON) for _ in range(5)]
    assert [answer.status_code for answer in answers[1:]] == [429] * 4  # 9,000 of 6,000: the first had all of it
    assert len(parsed) == 1
    assert answers[-1].json()["errors"][0]["extensions"]["code"] == "RATE_LIMITED"


async def test_a_large_body_is_not_parsed_again_to_say_what_is_wrong(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = []
    loads = requests.json.loads

    def counted(text: bytes) -> Any:
        parsed.append(len(text))
        return loads(text)

    monkeypatch.setattr(requests.json, "loads", counted)
    messages = []
    for content in (
        body_of(980_000, LONE),
        body_of(240_000, LONE),  # of 20,000 values
        f'{{"query":"{"x" * 900_000}{LONE}"}}',
        body_of(500_000) + "x",
        f"[{body_of(900_000)}]",
        f'{{"query":7,"variables":{body_of(900_000)}}}',
        f'{{"query":"{{__typename}}","extensions":{body_of(900_000)}}}',
        f'{{"query":"{{__typename}}","variables":{{"z":"{LONE}"}}}}',
    ):
        answer = await shop.http.post("/graphql", content=content, headers=JSON)
        assert answer.status_code == 400
        messages.append(answer.json()["errors"][0]["message"])
    unclear = "The body is not JSON, or holds a lone surrogate."
    assert messages == [
        unclear,
        unclear,
        unclear,
        "The body is not JSON.",
        "Send one request at a time: a JSON object, not an array.",
        "`query` must be a string.",
        "`extensions` hold more than 10000 commas.",
        "The variable `z` holds a lone surrogate, \\ud800, which is no Unicode character.",
    ]
    assert max(parsed) < 1000
