"""Load shedding over HTTP: a server that is stuck refuses what would wait, and goes on as soon as it can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress

import httpx
import msgspec
import pytest

from db import metrics
from domain.errors import Overloaded
from server import create_app
from services.admission import BURST_FACTOR, BURST_SECONDS, MAX_RETRY_SECONDS
from tests.conftest import SECRET, Shop
from tests.http.test_cancelling import locked, working
from tests.streams import HANGS, socket

CONNECTIONS = 4
BRANDS = {"query": "{ brands { nodes { id } } }"}


@pytest.fixture
async def http(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    settings = msgspec.structs.replace(
        shop.services.settings, database_pool_size=CONNECTIONS, database_max_overflow=0, database_pool_timeout=HANGS
    )
    app = create_app(settings, shop.dsns.api, SECRET, background=())
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop", timeout=HANGS) as client,
    ):
        yield client


async def test_what_would_wait_for_others_is_refused_at_once(http: httpx.AsyncClient, shop: Shop) -> None:
    refusals = metrics.LIMITS.labels("load")._value.get()
    async with locked(shop, "brands"):
        waiting = [asyncio.create_task(http.post("/graphql", json=BRANDS)) for _ in range(CONNECTIONS * 2)]
        await working(shop, 2)  # the share of one network
        await asyncio.sleep(BURST_SECONDS)
        refused = [await http.post("/graphql", json=BRANDS), await http.get("/graphql", params=BRANDS)]
        assert (await http.get("/readyz")).status_code == 200
    assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {200}
    for answer in refused:
        (error,) = answer.json()["errors"]
        assert (answer.status_code, error["extensions"]["code"]) == (503, "OVERLOADED")
        assert 1 <= error["extensions"]["retryAfter"] <= MAX_RETRY_SECONDS
        assert answer.headers["retry-after"] == str(error["extensions"]["retryAfter"])
        assert "connection" not in answer.headers, "the client comes back over the same connection"
    assert metrics.LIMITS.labels("load")._value.get() == refusals + 2
    assert (await http.post("/graphql", json=BRANDS)).status_code == 200


async def test_no_more_than_a_burst_waits(http: httpx.AsyncClient, shop: Shop) -> None:
    most = BURST_FACTOR * CONNECTIONS
    async with locked(shop, "brands"):
        asked = [asyncio.create_task(http.post("/graphql", json=BRANDS)) for _ in range(most + 10)]
        done, waiting = await asyncio.wait(asked, timeout=BURST_SECONDS * 5, return_when=asyncio.FIRST_COMPLETED)
        assert {task.result().status_code for task in done} <= {503}
    codes = [answer.status_code for answer in await asyncio.gather(*done, *waiting)]
    assert (codes.count(200), codes.count(503)) == (most, 10)


async def test_operations_on_sockets_are_refused_too_and_the_socket_stays_open(shop: Shop) -> None:
    admission = shop.services.admission
    with ExitStack() as others:
        with suppress(Overloaded):
            while True:
                others.enter_context(admission.held(f"10.0.0.{admission.running % 250}"))
        async with socket(shop) as client:
            (error,) = (await client.ask(BRANDS["query"]))["payload"]
            assert error["extensions"]["code"] == "OVERLOADED"
            assert 1 <= error["extensions"]["retryAfter"] <= MAX_RETRY_SECONDS
            others.close()
            assert "data" in await client.ask(BRANDS["query"])
    assert admission.running == 0
