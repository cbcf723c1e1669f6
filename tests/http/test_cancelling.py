"""A client that goes away takes its work with it; so does a request whose time is up. Nothing is half done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import msgspec
import pytest

from tests.conftest import Shop
from tests.streams import HANGS, Call, app_of
from transports.watching import Watches

pytestmark = pytest.mark.drill

GONE_WITHIN = 1.0  # what is promised of Postgres
BRANDS = "{ brands { nodes { id } } }"
# The second field needs rows of the first, so that without plans a loader's own task is at work.
PRODUCT_BRANDS = "{ products(first: 3) { nodes { brand { name } } } }"
RENAME = 'mutation { updateProfile(input: {displayName: "Late"}) { profile { displayName } } }'
WORKING = """
select count(*) from pg_stat_activity, pg_sleep(0.02)
where usename = 'aclue_api' and datname = current_database() and state <> 'idle'
"""


@asynccontextmanager
async def locked(shop: Shop, table: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Nobody reads or writes this table meanwhile."""
    assert shop.dsns.owner
    connection = await asyncpg.connect(shop.dsns.owner)
    try:
        async with connection.transaction():
            await connection.execute(f"lock table public.{table} in access exclusive mode")
            yield connection
    finally:
        await connection.close()


async def working(shop: Shop, count: int) -> None:
    """Until so many statements of the API are at work."""
    assert shop.dsns.superuser
    superuser = await asyncpg.connect(shop.dsns.superuser)  # others do not see what sessions do
    try:
        async with asyncio.timeout(HANGS):
            while await superuser.fetchval(WORKING) != count:
                pass
    finally:
        await superuser.close()


@pytest.fixture(params=["by plan", "by loaders"])
def path(request: pytest.FixtureRequest, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> str:
    """How a query is answered."""
    app = app_of(shop)
    runtime = app.graphql._engine._runtime
    changed = msgspec.structs.replace(runtime.settings, plans=request.param == "by plan")
    monkeypatch.setattr(runtime, "settings", changed)
    return str(request.param)


@pytest.mark.parametrize(("query", "table"), [(BRANDS, "brands"), (PRODUCT_BRANDS, "brands")])
async def test_the_query_of_a_client_that_went_away_is_ended_in_postgres(
    shop: Shop, path: str, query: str, table: str
) -> None:
    async with locked(shop, table):
        call = Call(shop, query)
        await working(shop, 1)
        call.hang_up()
        async with asyncio.timeout(GONE_WITHIN):
            await working(shop, 0)
            await call.end()
    assert call.sent == []
    assert len((await shop.client().ask(BRANDS))["brands"]["nodes"]) == 3


async def test_a_mutation_of_a_client_that_went_away_is_rolled_back(shop: Shop, path: str) -> None:
    anna = await shop.anonymous()
    before = await shop.owner.fetchval("select display_name from public.profiles")
    async with locked(shop, "profiles"):
        call = Call(shop, RENAME, anna.token)
        await working(shop, 1)
        call.hang_up()
        await call.end()
        await working(shop, 0)
    assert await shop.owner.fetchval("select display_name from public.profiles") == before


async def test_a_request_that_takes_too_long_gets_a_timeout(
    shop: Shop, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_of(shop)
    monkeypatch.setattr(app.graphql, "_watches", Watches(0.2))
    async with locked(shop, "brands"):
        call = Call(shop, BRANDS)
        await call.end()
        await working(shop, 0)
    start, body = call.sent
    assert start["status"] == 503
    assert (b"retry-after", b"1") in start["headers"]
    assert msgspec.json.decode(body["body"])["errors"][0]["extensions"] == {"code": "TIMEOUT", "retryAfter": 1}


async def test_a_body_that_does_not_arrive_gets_a_timeout(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_of(shop)
    monkeypatch.setattr(app.graphql, "_watches", Watches(0.2))
    call = Call(shop, BRANDS)
    call._body.clear()
    await call.end()
    start, body = call.sent
    assert start["status"] == 408
    assert (b"connection", b"close") in start["headers"]
    assert msgspec.json.decode(body["body"])["errors"][0]["extensions"] == {"code": "BAD_REQUEST"}


async def test_a_client_that_goes_away_with_half_a_body_gets_nothing(shop: Shop) -> None:
    call = Call(shop, BRANDS)
    call._body.clear()
    call.hang_up()
    await call.end()
    assert call.sent == []
