"""What claims cost on the way to Postgres: a query of one row under one person's claims, sent in different ways.

    make bench-sessions                        5 rounds of a second, 16 requests at once
    make bench-sessions SECONDS=3 REQUESTS=1   longer rounds, one request at a time

pipelined       CLAIMS_MODE=pipelined, Session.run_last: one round trip
two statements  CLAIMS_MODE=pipelined, Session.run twice: two and the commit
transaction     CLAIMS_MODE=transaction: begin, claims, query, commit
asyncpg's pool  the same in asyncpg's pool and transaction, with its reset when the connection goes back
no claims       a prepared statement of asyncpg on a connection of its own, as the schema's owner: the limit
lending alone   taking a connection and giving it back, from our pool and from asyncpg's with an empty reset query

Starts a Postgres of its own. Rounds are interleaved, so that a busy machine treats all ways alike; prints medians of
requests per second and of what this process computed per request.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import uvloop

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import settings as settings_module  # noqa: E402
from db import claims as claims_module  # noqa: E402
from db import migrations, secrets  # noqa: E402
from db.claims import Claims  # noqa: E402
from db.database import Database  # noqa: E402
from db.embedded import Dsns, EmbeddedServer  # noqa: E402
from settings import ClaimsMode  # noqa: E402

ROUNDS = 5
SECONDS = float(os.environ.get("SECONDS", "1"))
REQUESTS = int(os.environ.get("REQUESTS", "16"))
ONE_ROW = "select id, display_name, created_at from public.profiles where id = $1"


class WithoutReset(asyncpg.Connection):
    def get_reset_query(self) -> str:
        return ""


Way = Callable[[], Awaitable[Any]]


async def round_of(way: Way) -> tuple[float, float]:
    """(requests per second, microseconds of this process's time per request)."""
    done = 0
    started, computed = time.perf_counter(), time.process_time()
    until = started + SECONDS

    async def one_after_the_other() -> None:
        nonlocal done
        while time.perf_counter() < until:
            await way()
            done += 1

    await asyncio.gather(*(one_after_the_other() for _ in range(REQUESTS)))
    return done / (time.perf_counter() - started), (time.process_time() - computed) / done * 1e6


async def measure(dsns: Dsns) -> None:
    assert dsns.owner
    owner = await asyncpg.connect(dsns.owner)
    await migrations.migrate(owner)
    await migrations.ensure_api_login(owner, dsns.api)
    person = await owner.fetchval("insert into public.profiles (display_name) values ('Anna') returning id")
    claims = Claims("authenticated", person, raw=f'{{"role":"authenticated","sub":"{person}"}}')

    settings = settings_module.load({"DATABASE_POOL_SIZE": str(REQUESTS), "DATABASE_MAX_OVERFLOW": "0"})
    plain = msgspec.structs.replace(settings, claims_mode=ClaimsMode.TRANSACTION)
    pipelined, transaction = await Database.connect(dsns.api, settings), await Database.connect(dsns.api, plain)
    theirs = await asyncpg.create_pool(dsns.api, min_size=1, max_size=REQUESTS, max_inactive_connection_lifetime=0)
    lending = await asyncpg.create_pool(
        dsns.api, min_size=1, max_size=REQUESTS, connection_class=WithoutReset, max_inactive_connection_lifetime=0
    )
    free: list[asyncpg.Connection[Any]] = [await asyncpg.connect(dsns.owner) for _ in range(REQUESTS)]
    prepared = [await connection.prepare(ONE_ROW) for connection in free]

    async def one(database: Database) -> None:
        async with database.session(claims, read_only=True) as session:
            assert len(await session.run_last(ONE_ROW, [person])) == 1

    async def two() -> None:
        async with pipelined.session(claims, read_only=True) as session:
            assert len(await session.run(ONE_ROW, [person])) == 1
            assert len(await session.run(ONE_ROW, [person])) == 1

    async def in_their_pool() -> None:
        async with theirs.acquire(timeout=30) as connection, connection.transaction(readonly=True):
            await claims_module.apply(connection, claims, 10_000)
            assert len(await connection.fetch(ONE_ROW, person)) == 1

    async def without_claims() -> None:
        statement = prepared.pop()
        assert len(await statement.fetch(person)) == 1
        prepared.append(statement)

    async def lend() -> None:
        pipelined.pool.release(await pipelined.pool.acquire())

    async def lend_theirs() -> None:
        async with lending.acquire(timeout=30):
            pass

    ways: dict[str, Way] = {
        "pipelined": lambda: one(pipelined),
        "pipelined, two statements": two,
        "transaction": lambda: one(transaction),
        "asyncpg's pool and reset": in_their_pool,
        "no claims (the limit)": without_claims,
        "lending alone": lend,
        "asyncpg's, without a reset": lend_theirs,
    }
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for round_number in range(ROUNDS + 1):
        for name, way in ways.items():
            result = await round_of(way)
            if round_number:  # the first is to warm up
                results[name].append(result)
    print(f"{'way':28}{'requests/s':>11}{'CPU µs':>9}   {REQUESTS} at once")
    for name, rounds in results.items():
        rate, computed = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"{name:28}{rate:11.0f}{computed:9.1f}")
    for pool in (theirs, lending):
        await pool.close()
    for database in (pipelined, transaction):
        await database.close()
    for connection in (owner, *free):
        await connection.close()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="aclue-bench-") as folder:
        Path(folder).chmod(0o755)
        with EmbeddedServer(Path(folder), secrets.load_or_create(Path(folder)), is_temporary=True) as dsns:
            uvloop.run(measure(dsns))


if __name__ == "__main__":
    main()
