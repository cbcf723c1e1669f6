"""PREPARED_STATEMENTS=false behind a real PgBouncer in transaction mode, where each transaction may have another
server connection."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import asyncpg
import msgspec
import pytest

from db.claims import ANONYMOUS, Claims
from db.database import Database
from db.embedded import Dsns
from domain.errors import Timeout
from settings import ClaimsMode, Settings
from tests.security.endings import BARE, STATE

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
pytestmark = pytest.mark.skipif(not PROGRAM, reason="there is no pgbouncer here (Debian: apt-get install pgbouncer)")

CONFIGURATION = """
[databases]
{database} = host={host} port={port} dbname={database} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
logfile = {folder}/log
pidfile = {folder}/pid
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def pooled(dsns: Dsns, tmp_path: Path) -> Iterator[str]:
    """The API's log-in through PgBouncer, which has two connections to Postgres."""
    assert PROGRAM
    parts, listen = urlsplit(dsns.api), free_port()
    (socket_folder,) = parse_qs(parts.query)["host"]
    configuration = tmp_path / "pgbouncer.ini"
    configuration.write_text(
        CONFIGURATION.format(
            database=parts.path[1:],
            host=socket_folder,
            port=parts.port or 5432,
            user=parts.username,
            password=parts.password,
            listen=listen,
            folder=tmp_path,
        )
    )
    user = None
    if os.geteuid() == 0:  # it refuses to run as root; the server's own user may open the server's socket
        user = Path(socket_folder).owner()
        for path in (tmp_path, configuration):
            shutil.chown(path, user)
        for folder in tmp_path.parents:
            if folder.owner() == "root" and folder.name:
                folder.chmod(folder.stat().st_mode | 0o011)
    bouncer = subprocess.Popen(
        [PROGRAM, str(configuration)], user=user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(500):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", listen)) == 0:
                    break
            assert bouncer.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.01)
        yield f"postgresql://{parts.username}:x@127.0.0.1:{listen}{parts.path}"
    finally:
        bouncer.terminate()
        bouncer.wait(10)


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
