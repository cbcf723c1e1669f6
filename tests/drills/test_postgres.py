"""Postgres restarts, is killed, replaced by its standby, full of others' connections, or out of space."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from db.embedded import Dsns
from db.programs import ProgramError
from tests.bases import FILLED
from tests.bases.clusters import Cluster
from tests.drills.conftest import SUPERUSER, Tell, dsns_of, served
from tests.drills.crowds import HANGS, Crowd, until

pytestmark = pytest.mark.drill


async def test_a_restart(cluster: Cluster, dsns: Dsns, folder: Path, tell: Tell) -> None:
    async with served(dsns.api, folder) as (http, _), Crowd(http) as crowd:
        await crowd.work()
        await asyncio.to_thread(cluster.stop)
        await asyncio.to_thread(cluster.start)
        tell(await crowd.recover())
        await crowd.work()
    await crowd.check(dsns.owner or "")


async def test_being_down_for_longer_than_requests_wait(cluster: Cluster, dsns: Dsns, folder: Path, tell: Tell) -> None:
    async with served(dsns.api, folder, DATABASE_RETRY_DELAY="0.1") as (http, services), Crowd(http) as crowd:
        await crowd.work()
        await asyncio.to_thread(cluster.stop)
        await crowd.meet(10)
        assert set(crowd.failures) == {"OVERLOADED"}
        assert (await http.get("/readyz")).status_code == 503
        await asyncio.to_thread(cluster.start)
        tell(await crowd.recover())
        assert (await http.get("/readyz")).status_code == 200
        await until(lambda: services.database.changes.is_connected)
    await crowd.check(dsns.owner or "")


@pytest.mark.parametrize("rounds", [3])
async def test_kills_in_the_midst_of_writes(
    cluster: Cluster, dsns: Dsns, folder: Path, tell: Tell, rounds: int
) -> None:
    slowest = 0.0
    async with served(dsns.api, folder) as (http, _), Crowd(http) as crowd:
        for _ in range(rounds):
            await crowd.work()
            await asyncio.to_thread(cluster.kill)
            await asyncio.to_thread(cluster.start)
            slowest = max(slowest, await crowd.recover())
    tell(slowest)
    await crowd.check(dsns.owner or "")


async def test_a_failover_to_a_standby(cluster: Cluster, dsns: Dsns, folder: Path, tell: Tell) -> None:
    """Synchronous replication, so that what was acknowledged is on the standby, too."""
    (folder / "other").mkdir(0o755)
    with cluster.standby(folder / "other") as standby:
        superuser = await asyncpg.connect(dsns.superuser)
        await superuser.execute("alter system set synchronous_standby_names = '*'")
        await superuser.execute("select pg_reload_conf()")
        await superuser.close()
        both = dsns.api.replace("host=", f"host={standby.folder},") + "&target_session_attrs=read-write"
        async with served(both, folder) as (http, services), Crowd(http) as crowd:
            changes = services.database.changes
            heard: list[str | None] = []
            changes.listen("drill", "anna", heard.append)
            await crowd.work()
            await asyncio.to_thread(cluster.kill)
            await crowd.meet(1)
            await asyncio.to_thread(standby.promote)
            tell(await crowd.recover())
            changes.note("drill", "anna", "after")
            await until(lambda: "after" in heard)
            assert None in heard  # it looked again, as it may have missed something
        await crowd.check(dsns_of(standby).owner or "")


async def test_a_primary_that_became_read_only(dsns: Dsns, folder: Path, tell: Tell) -> None:
    """As after a failover that keeps connections: what the pool has leads to a server that takes no writes."""
    superuser = await asyncpg.connect(dsns.superuser)
    async with served(dsns.api, folder) as (http, _), Crowd(http) as crowd:
        await crowd.work()
        await superuser.execute("alter system set default_transaction_read_only = on")
        await superuser.execute("select pg_reload_conf()")
        await crowd.meet(10)
        await superuser.execute("set default_transaction_read_only = off")
        await superuser.execute("alter system reset default_transaction_read_only")
        await superuser.execute("select pg_reload_conf()")
        tell(await crowd.recover())
    await superuser.close()
    await crowd.check(dsns.owner or "")


async def test_connections_that_others_have_taken(cluster: Cluster, dsns: Dsns, folder: Path, tell: Tell) -> None:
    await asyncio.to_thread(cluster.stop)
    await asyncio.to_thread(cluster.start, "max_connections=20", "superuser_reserved_connections=1")
    async with served(dsns.api, folder, DATABASE_RETRY_DELAY="0.1") as (http, services), Crowd(http) as crowd:
        await crowd.work()
        hogs: list[asyncpg.Connection[Any]] = []
        with contextlib.suppress(asyncpg.TooManyConnectionsError):
            while True:
                hogs.append(await asyncpg.connect(dsns.owner))
        has_some = services.database.pool.size
        assert has_some > 0
        await crowd.work()  # with the connections that the pool has
        superuser = await asyncpg.connect(dsns.superuser)
        await superuser.execute("alter role aclue_api connection limit 0")  # once these have ended
        await superuser.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'aclue_api'")
        await crowd.meet(10)
        assert set(crowd.failures) == {"OVERLOADED"}
        await superuser.execute("alter role aclue_api connection limit -1")
        await superuser.close()
        for hog in hogs:
            await hog.close()
        tell(await crowd.recover())
    await crowd.check(dsns.owner or "")


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of this size. Skips the test where none may be mounted."""
    place = folder / "disk"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system to fill")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


async def test_a_full_disk(original: Cluster, folder: Path, tell: Tell) -> None:
    """The write-ahead log has no space: Postgres stops itself, and starts once somebody has made space."""
    with small_disk(folder, 400) as disk:
        copy = original.copied(folder)
        copy.move_wal(disk)
        with copy:
            dsns = dsns_of(copy)
            async with served(dsns.api, folder, DATABASE_RETRY_DELAY="0.1") as (http, _), Crowd(http) as crowd:
                await crowd.work()
                ballast = disk / "ballast"
                with contextlib.suppress(OSError), ballast.open("wb") as file:
                    while True:
                        file.write(bytes(1 << 20))
                        file.flush()
                await asyncio.to_thread(fill, dsns.superuser or "")
                await crowd.meet(10)
                assert set(crowd.failures) == {"OVERLOADED"}
                ballast.unlink()
                await asyncio.to_thread(started_again, copy)
                tell(await crowd.recover())
            await crowd.check(dsns.owner or "")


def fill(dsn: str) -> None:
    """Writes until the log is full."""

    async def write() -> None:
        connection: asyncpg.Connection[Any] = await asyncpg.connect(dsn)
        await connection.execute(
            "create table public.ballast as select repeat(md5(i::text), 50) from generate_series(1, 200000) i"
        )

    with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        while True:
            asyncio.run(write())


def started_again(cluster: Cluster) -> None:
    """Starts the server, unless it has started itself."""
    deadline = time.monotonic() + HANGS
    while time.monotonic() < deadline:
        with contextlib.suppress(ProgramError):
            cluster.start()
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            asyncio.run(_answers(cluster))
            return
        time.sleep(0.1)
    raise AssertionError("Postgres does not start again")


async def _answers(cluster: Cluster) -> None:
    connection = await asyncpg.connect(cluster.dsn(SUPERUSER, FILLED))
    await connection.fetchval("select 1")
    await connection.close()
