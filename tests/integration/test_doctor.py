"""`aclue doctor` on real servers: with pg_stat_statements and without, and what it sees of a lock."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from db import doctor, embedded, migrations, programs
from db.embedded import Dsns
from db.programs import Programs
from domain.doctor import findings, growth, slower
from tests.bases import _postgres15
from tests.bases.clusters import Cluster
from tests.integration.waiting import until

LOCK = "begin; lock table public.brands; commit"
LIBRARY = "shared_preload_libraries = 'pg_stat_statements'\n"


@pytest.fixture(scope="module")
def watched() -> Iterator[Dsns]:
    """A PostgreSQL 15 that counts statements."""
    if not (_postgres15() / "initdb").exists():
        pytest.skip(f"there is no PostgreSQL in {_postgres15()} (Debian: apt-get install postgresql-15)")
    with tempfile.TemporaryDirectory(prefix="aclue-test-") as folder:
        Path(folder).chmod(0o755)
        runs = Programs(_postgres15(), programs.system_account())
        with Cluster(runs, Path(folder), superuser="postgres", configuration=LIBRARY) as cluster:
            cluster.run(f"create role {embedded.OWNER} login createrole password '{cluster.password}'")
            cluster.run(f"create database {embedded.DATABASE} owner {embedded.OWNER}")
            dsns = cluster.dsns(owner=embedded.OWNER)
            asyncio.run(_migrated(dsns))
            yield dsns


async def _migrated(dsns: Dsns) -> None:
    assert dsns.owner and dsns.superuser
    owner = await asyncpg.connect(dsns.owner)
    await migrations.migrate(owner)
    await owner.close()
    superuser = await asyncpg.connect(dsns.superuser)
    await superuser.execute("create schema extensions; create extension pg_stat_statements schema extensions")
    await superuser.execute("grant usage on schema extensions to public")
    await superuser.close()


@pytest.fixture
async def watching(watched: Dsns) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(watched.superuser)
    yield connection
    await connection.close()


async def test_statements_have_calls_per_hour_and_a_grade(watching: asyncpg.Connection[Any]) -> None:
    await watching.execute("select extensions.pg_stat_statements_reset()")
    for _ in range(3):
        await watching.fetchval("select pg_sleep($1), 'of the test'", 0.02)
    reading = await doctor.read(watching, None)
    assert reading.missing == []
    assert reading.version.startswith("15.")
    (found,) = (each for each in reading.statements if "pg_sleep" in each.query)
    assert (found.calls, found.performance_grade) == (3, "B")
    assert found.mean_time >= 20
    assert 0 < found.calls_per_hour <= 180  # a minute is the least that is counted


async def test_the_view_of_the_documents_is_there(watching: asyncpg.Connection[Any]) -> None:
    row = await watching.fetchrow(
        "select query, calls, total_time, mean_time, calls_per_hour, performance_grade"
        " from performance_monitoring_view order by total_time desc limit 20"
    )
    assert row is not None
    assert row["performance_grade"] in "ABCDF"


async def test_a_release_that_makes_a_statement_slow_is_noticed(watching: asyncpg.Connection[Any]) -> None:
    await watching.execute(
        "create or replace function public.pace() returns void language sql as 'select pg_sleep(0.002)'"
    )
    for _ in range(20):
        await watching.fetchval("select public.pace()")
    before = await doctor.read(watching, None)
    await watching.execute(
        "create or replace function public.pace() returns void language sql as 'select pg_sleep(0.05)'"
    )
    for _ in range(20):
        await watching.fetchval("select public.pace()")
    found = slower(before, await doctor.read(watching, None))
    assert [each.query for each in found] == ["select public.pace()"]
    assert slower(before, before) == []


async def test_an_owner_without_pg_monitor_is_told_what_is_hidden(watched: Dsns) -> None:
    connection = await asyncpg.connect(watched.owner)
    reading = await doctor.read(connection, None)
    await connection.close()
    assert reading.missing == ["what other roles do is hidden: as a superuser, grant pg_monitor to aclue_owner"]


async def test_without_the_extension_it_says_so_and_reads_the_rest(
    owner: asyncpg.Connection[Any], superuser: asyncpg.Connection[Any], tmp_path: Path
) -> None:
    for connection in (owner, superuser):
        reading = await doctor.read(connection, tmp_path)
        (missing,) = (each for each in reading.missing if each.startswith("statements"))
        assert "pg_stat_statements is not installed" in missing
        assert "create extension pg_stat_statements" in missing
        assert {"public.swipes", "public.profiles"} <= {table.name for table in reading.tables}
        assert reading.connections.used > 0
        assert reading.disk is not None
        found = findings(reading, growth(reading))
        assert missing in [each.what for each in found]


async def test_who_waits_for_whom(
    owner: asyncpg.Connection[Any], superuser: asyncpg.Connection[Any], dsns: Dsns
) -> None:
    waiter = await asyncpg.connect(dsns.owner)
    async with owner.transaction():
        await owner.execute("lock table public.brands")
        waiting = asyncio.create_task(waiter.execute(LOCK))
        await until(superuser, "exists (select from pg_stat_activity where wait_event_type = 'Lock')")
        locks = (await doctor.read(superuser, None)).locks
        assert (locks[0].pid, locks[0].blocked_by) == (waiter.get_server_pid(), [owner.get_server_pid()])
        assert locks[0].query == LOCK
    await waiting
    await waiter.close()


async def test_unused_indexes_and_empty_space_are_found(
    owner: asyncpg.Connection[Any], superuser: asyncpg.Connection[Any]
) -> None:
    await owner.execute(
        "create table public.extra (id int primary key, a text);"
        "insert into public.extra select n, repeat('x', 100) || n from generate_series(1, 200000) n;"
        "create index extra_a_idx on public.extra (a);"
        "delete from public.extra where id > 20000"
    )
    await owner.execute("vacuum (truncate off, analyze) public.extra")
    reading = await doctor.read(superuser, None)
    assert "public.extra_a_idx" in [index.name for index in reading.unused_indexes]
    assert "public.extra_pkey" not in [index.name for index in reading.unused_indexes]
    (table,) = (table for table in reading.tables if table.name == "public.extra")
    assert table.bloat_bytes > 0.8 * table.heap_bytes
    assert any("public.extra are empty" in each.what for each in findings(reading, None))
