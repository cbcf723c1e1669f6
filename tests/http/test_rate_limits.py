"""Rate limits over HTTP: 429 before anything runs, and when to come again."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest

from server import create_app
from tests.client import START
from tests.conftest import SECRET, Shop

PAGE = {"query": "{ products(first: 100) { nodes { id } } }"}


@pytest.fixture
async def http(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    settings = msgspec.structs.replace(
        shop.services.settings, rate_limit_cost=2000, rate_limit_address_cost=6000, start_session_attempts=100
    )
    app = create_app(settings, shop.dsns.api, SECRET, background=())
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop") as client,
    ):
        yield client


async def test_who_asks_for_too_much_has_to_wait(http: httpx.AsyncClient) -> None:
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
