"""PREPARED_STATEMENTS=false behind a real PgBouncer in transaction mode, where each transaction may have another
server connection."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from db.claims import ANONYMOUS, Claims
from db.database import Database
from db.embedded import Dsns
from domain.errors import Timeout
from settings import ClaimsMode, Settings
from tests.bases.poolers import PROGRAM, Pooler
from tests.security.endings import BARE, STATE

pytestmark = pytest.mark.skipif(not PROGRAM, reason="there is no pgbouncer here (Debian: apt-get install pgbouncer)")


@pytest.fixture
def pooled(dsns: Dsns) -> Iterator[str]:
    """The API's log-in through PgBouncer, which has two connections to Postgres."""
    with (
        tempfile.TemporaryDirectory(prefix="aclue-pooler-") as folder,
        Pooler(dsns.api, Path(folder), pool_size=2) as it,
    ):
        yield it.dsn


@pytest.fixture
async def database(pooled: str, settings: Settings) -> AsyncIterator[Database]:
    """Eight connections to PgBouncer."""
    plain = {"claims_mode": ClaimsMode.TRANSACTION, "prepared_statements": False}
    opened = await Database.connect(pooled, msgspec.structs.replace(settings, **plain, database_statement_timeout=500))
    yield opened
    await opened.close()


async def test_sessions_interleave_over_few_server_connections(database: Database) -> None:
    async def one(number: int) -> int:
        key = UUID(int=number + 1)
        claims = Claims("authenticated", key, raw=f'{{"role":"authenticated","sub":"{key}"}}')
        async with database.session(claims, read_only=True) as session:
            sql = "select auth.uid(), current_user::text, pg_backend_pid(), $1::int"
            if number % 2:
                (row,) = await session.run_last(sql, [number])
            else:
                (row,) = await session.run(sql, [number])
                assert tuple((await session.run(sql, [number]))[0]) == tuple(row)
            assert (row[0], row[1], row[3]) == (key, "authenticated", number)
            pid: int = row[2]
            return pid

    pids = {pid for _ in range(20) for pid in await asyncio.gather(*(one(number) for number in range(8)))}
    assert len(pids) == 2


async def test_nothing_is_left_on_a_server_connection(database: Database) -> None:
    failures: list[tuple[str, list[Any], type[Exception]]] = [
        ("select 1 / 0", [], asyncpg.DivisionByZeroError),
        ("select pg_sleep(60)", [], Timeout),
        ("select $1::int", ["many"], asyncpg.DataError),
        ("select select", [], asyncpg.PostgresSyntaxError),
    ]
    for sql, arguments, error in failures:
        with pytest.raises(error):
            async with database.session(ANONYMOUS, read_only=True) as session:
                await session.run(sql, arguments)
    connections = [await database.pool.acquire() for _ in range(8)]
    for connection in connections:
        assert dict(await connection.fetchrow(STATE) or {}) == BARE
        assert await connection.fetchval("select count(*) from pg_prepared_statements where name <> ''") == 0
        database.pool.release(connection)


async def test_without_the_setting_pgbouncer_refuses_us(pooled: str, settings: Settings) -> None:
    """At once, and not with a statement that is missing on another server connection."""
    with pytest.raises(asyncpg.PostgresError, match="unsupported startup parameter"):
        await Database.connect(pooled, settings)
