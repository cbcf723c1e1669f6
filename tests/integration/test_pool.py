"""The pool: how many connections there are, who waits for one, and which are not lent again."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import msgspec
import pytest
import structlog

import db.pool
from db.claims import ANONYMOUS
from db.database import Database
from db.embedded import Dsns
from db.pool import ApiConnection, Pool
from domain.errors import Overloaded
from settings import Settings
from tests.integration.waiting import until
from tests.streams import until as soon

PID = "select pg_backend_pid()"
COUNT = "(select count(*) from pg_stat_activity where usename = 'aclue_api' and datname = current_database())"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Two connections; two may wait."""
    return msgspec.structs.replace(
        settings, database_pool_size=1, database_max_overflow=1, database_pool_queue=2, database_pool_timeout=1.0
    )


@pytest.fixture
def pool(database: Database) -> Pool:
    return database.pool


async def patient(dsns: Dsns, settings: Settings) -> Database:
    return await Database.connect(dsns.api, msgspec.structs.replace(settings, database_pool_timeout=30))


async def waiting(pool: Pool, many: int) -> list[asyncio.Task[ApiConnection]]:
    """So many tasks that wait for a connection, in this order."""
    tasks = [asyncio.create_task(pool.acquire()) for _ in range(many)]
    await asyncio.sleep(0)
    return tasks


async def test_there_are_as_many_connections_as_settings_say(pool: Pool, superuser: asyncpg.Connection[Any]) -> None:
    first, second = await pool.acquire(), await pool.acquire()
    assert (pool.size, pool.idle) == (2, 0)
    await until(superuser, f"{COUNT} = 2")
    with pytest.raises(Overloaded):
        await pool.acquire()
    pool.release(first)
    pool.release(second)
    assert (pool.size, pool.idle) == (2, 2)


async def test_the_connection_that_came_back_last_is_lent_first(pool: Pool) -> None:
    first, second = await pool.acquire(), await pool.acquire()
    pool.release(first)
    pool.release(second)
    again = await pool.acquire()
    assert again is second
    pool.release(again)


async def test_waiting_tasks_are_served_in_order(dsns: Dsns, settings: Settings) -> None:
    database = await patient(dsns, settings)
    pool = database.pool
    lent = [await pool.acquire(), await pool.acquire()]
    first, second = await waiting(pool, 2)
    pool.release(lent[0])
    late = asyncio.create_task(pool.acquire())
    assert await first is lent[0]
    pool.release(lent[1])
    assert await second is lent[1]
    pool.release(lent[0])
    assert await late is lent[0]
    for connection in lent:
        pool.release(connection)
    await database.close()


async def test_one_more_than_may_wait_is_refused_at_once(dsns: Dsns, settings: Settings) -> None:
    database = await patient(dsns, settings)
    lent = [await database.pool.acquire(), await database.pool.acquire()]
    tasks = await waiting(database.pool, 2)
    assert database.pool.waiting == 2
    with pytest.raises(Overloaded) as refused:
        await database.pool.acquire()
    assert refused.value.retry_after > 0
    for connection in lent:
        database.pool.release(connection)
    for connection in await asyncio.gather(*tasks):
        database.pool.release(connection)
    await database.close()


async def test_a_connection_handed_to_a_cancelled_task_goes_to_the_next(dsns: Dsns, settings: Settings) -> None:
    database = await patient(dsns, settings)
    pool = database.pool
    lent = [await pool.acquire(), await pool.acquire()]
    gone, next_one = await waiting(pool, 2)
    pool.release(lent[0])
    gone.cancel()  # it was handed the connection, and has not noticed
    assert await next_one is lent[0]
    for connection in lent:
        pool.release(connection)
    assert (pool.size, pool.idle) == (2, 2)
    await database.close()


async def test_the_pool_keeps_a_connection_whose_task_is_cancelled_while_it_is_opened(
    pool: Pool, superuser: asyncpg.Connection[Any]
) -> None:
    first = await pool.acquire()
    (gone,) = await waiting(pool, 1)
    await asyncio.sleep(0)
    assert pool.size == 2
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    pool.release(first)
    await until(superuser, f"{COUNT} = 2")
    await asyncio.gather(*pool._openings)
    await asyncio.sleep(0)
    assert (pool.size, pool.idle) == (2, 2)
    kept = await pool.acquire()
    assert await kept.fetchval(PID) == kept.get_server_pid()
    pool.release(kept)


async def test_a_pool_that_closes_while_it_opens_a_connection_drops_it(dsns: Dsns, settings: Settings) -> None:
    database = await patient(dsns, settings)
    first = await database.pool.acquire()
    (gone,) = await waiting(database.pool, 1)
    await asyncio.sleep(0)
    gone.cancel()
    database.pool.release(first)
    await database.close()
    await asyncio.gather(gone, return_exceptions=True)
    assert database.pool.size == 0


async def test_cancelled_tasks_leave_the_queue(dsns: Dsns, settings: Settings) -> None:
    database = await patient(dsns, settings)
    lent = [await database.pool.acquire(), await database.pool.acquire()]
    for _ in range(3):
        for task in await waiting(database.pool, 2):
            task.cancel()
        await asyncio.sleep(0)
    (task,) = await waiting(database.pool, 1)
    database.pool.release(lent[0])
    assert await task is lent[0]
    for connection in lent:
        database.pool.release(connection)
    await database.close()


@pytest.mark.drill
async def test_a_broken_connection_frees_a_slot_for_waiting_tasks(dsns: Dsns, settings: Settings) -> None:
    database = await patient(dsns, settings)
    lent = [await database.pool.acquire(), await database.pool.acquire()]
    tasks = await waiting(database.pool, 2)
    for connection in lent:
        connection.terminate()
        database.pool.release(connection)
    for connection in await asyncio.gather(*tasks):
        assert await connection.fetchval("select 1") == 1
        database.pool.release(connection)
    assert database.pool.size == 2
    await database.close()


def faults_in(logged: Sequence[MutableMapping[str, Any]]) -> list[str]:
    return [entry["fault"] for entry in logged if entry["event"] == "the pool ended a connection"]


async def test_a_connection_in_a_transaction_is_not_lent_again(pool: Pool) -> None:
    """No session gives one back; were there such a mistake, the next one would be inside somebody's transaction."""
    connection = await pool.acquire()
    await connection.execute("begin")
    with structlog.testing.capture_logs() as logged:
        pool.release(connection)
    assert faults_in(logged) == ["a transaction is open"]
    assert connection.is_closed()
    assert pool.size == 0


async def test_a_connection_whose_statement_runs_is_not_lent_again(pool: Pool) -> None:
    connection = await pool.acquire()
    running = asyncio.create_task(connection.execute("select pg_sleep(60)"))
    await asyncio.sleep(0.05)
    with structlog.testing.capture_logs() as logged:
        pool.release(connection)
    assert faults_in(logged) == ["an operation is under way"]
    assert connection.is_closed()
    assert pool.size == 0
    with pytest.raises(asyncpg.PostgresConnectionError):
        await running


async def test_a_statement_counts_as_running_until_its_caller_resumes(pool: Pool) -> None:
    """The reply has arrived and asyncpg would take the next statement; the task that waits has not run yet."""
    connection = await pool.acquire()
    queries = connection._protocol.queries_count
    statement = connection.execute("select 1")
    waiter = statement.send(None)
    assert connection._protocol.queries_count == queries + 1
    await asyncio.wait([waiter])
    assert connection.fault == "an operation is under way"
    with pytest.raises(StopIteration):
        statement.send(None)
    assert connection.fault is None
    pool.release(connection)


async def test_a_connection_released_twice_is_not_reused(pool: Pool) -> None:
    connection = await pool.acquire("anna")
    pool.release(connection, "anna")
    with structlog.testing.capture_logs() as logged:
        pool.release(connection, "anna")
    assert faults_in(logged) == ["it was given back, but is not lent"]
    assert connection.is_closed()
    assert (pool.size, pool.idle) == (0, 0)
    first, second = await pool.acquire(), await pool.acquire()
    assert len({first, second, connection}) == 3
    pool.release(first)
    pool.release(second)


async def test_only_its_owner_can_release_a_connection(pool: Pool) -> None:
    connection = await pool.acquire("anna")
    pool.release(connection, "anna")
    assert await pool.acquire("ben") is connection
    with structlog.testing.capture_logs() as logged:
        pool.release(connection, "anna")
    assert faults_in(logged) == ["it was given back by another than its owner"]
    with pytest.raises(asyncpg.InterfaceError):  # ben is told, and nobody else got it
        await connection.execute("select 1")
    assert (pool.size, pool.idle) == (1, 0)
    pool.release(connection, "ben")
    assert pool.size == 0


async def test_a_connection_handed_to_a_waiting_task_is_its_own(pool: Pool) -> None:
    lent = [await pool.acquire("anna"), await pool.acquire("anna")]
    (waiter,) = await waiting(pool, 1)
    pool.release(lent[0], "anna")  # handed over; who waits has not noticed
    with structlog.testing.capture_logs() as logged:
        pool.release(lent[0], "anna")
    assert faults_in(logged) == ["it was given back by another than its owner"]
    fresh = await waiter
    assert fresh is not lent[0]
    pool.release(fresh)
    pool.release(lent[1], "anna")


async def test_a_connection_that_is_in_the_pool_twice_is_acquired_once(pool: Pool) -> None:
    connection = await pool.acquire()
    pool.release(connection)
    pool._idle.append(connection)
    assert await pool.acquire("anna") is connection
    with structlog.testing.capture_logs() as logged:
        other = await pool.acquire("ben")
    assert faults_in(logged) == ["it was to be lent twice"]
    assert other is not connection
    pool.release(other, "ben")
    pool.release(connection, "anna")
    assert (pool.size, pool.idle) == (1, 1)


async def test_an_old_connection_is_replaced(pool: Pool) -> None:
    connection = await pool.acquire()
    connection.opened_at -= 3601
    pool.release(connection)
    assert connection.is_closed()
    fresh = await pool.acquire()
    assert await fresh.fetchval("select 1") == 1
    pool.release(fresh)


async def test_a_connection_that_grew_old_while_idle_is_replaced(pool: Pool) -> None:
    connection = await pool.acquire()
    pool.release(connection)
    connection.opened_at -= 3601
    fresh = await pool.acquire()
    assert connection.is_closed()
    assert fresh is not connection
    pool.release(fresh)


async def test_a_connection_that_was_idle_for_long_is_closed(pool: Pool) -> None:
    first, second = await pool.acquire(), await pool.acquire()
    pool.release(first)
    first.used_at -= 3601
    pool.release(second)
    assert first.is_closed()
    assert (pool.size, pool.idle) == (1, 1)


@pytest.mark.drill
async def test_a_connection_that_was_lost_while_idle_is_replaced(
    pool: Pool, superuser: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Postgres ends it; that it did is noticed by trying, as after a break of the network."""
    connection = await pool.acquire()
    pid = await connection.fetchval(PID)
    pool.release(connection)
    monkeypatch.setattr(db.pool, "CHECK_IDLE_SECONDS", 0)
    await superuser.execute("select pg_terminate_backend($1, 5000)", pid)
    fresh = await pool.acquire()
    assert await fresh.fetchval(PID) != pid
    pool.release(fresh)


@pytest.mark.drill
async def test_where_there_is_no_server_the_place_is_not_lost(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse() -> ApiConnection:
        raise ConnectionRefusedError

    first = await pool.acquire()
    with monkeypatch.context() as patched:
        patched.setattr(pool, "_connect", refuse)
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                await pool.acquire()
    second = await pool.acquire()
    pool.release(first)
    pool.release(second)


async def test_closing_waits_for_those_that_are_lent(dsns: Dsns, settings: Settings) -> None:
    database = await Database.connect(dsns.api, settings)
    connection = await database.pool.acquire()
    closing = asyncio.create_task(database.close())
    await asyncio.sleep(0)
    assert await connection.fetchval("select 1") == 1
    with pytest.raises(Overloaded):
        await database.pool.acquire()
    database.pool.release(connection)
    await closing
    assert connection.is_closed()


async def test_closing_does_not_wait_for_ever(dsns: Dsns, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db.pool, "CLOSE_TIMEOUT_SECONDS", 0.05)
    database = await Database.connect(dsns.api, settings)
    connection = await database.pool.acquire()
    await database.close()
    assert connection.is_closed()


@pytest.mark.drill
async def test_where_none_can_be_opened_one_that_is_returned_is_lent(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others have taken all connections of Postgres."""

    async def refuse() -> ApiConnection:
        raise asyncpg.TooManyConnectionsError

    first = await pool.acquire()
    monkeypatch.setattr(pool, "_connect", refuse)
    monkeypatch.setattr(pool, "_settings", msgspec.structs.replace(pool._settings, database_retry_delay=60))
    (task,) = await waiting(pool, 1)
    await asyncio.sleep(0.01)
    assert (pool.size, pool.waiting) == (1, 1)
    pool.release(first)
    assert await task is first
    pool.release(first)


@pytest.mark.drill
async def test_a_server_that_comes_back_is_found_by_those_who_wait(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = 0
    connect = pool._connect

    async def later() -> ApiConnection:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise ConnectionRefusedError
        return await connect()

    pool.release(await pool.acquire())
    pool.renew()
    monkeypatch.setattr(pool, "_connect", later)
    connection = await pool.acquire()
    assert attempts == 3
    pool.release(connection)


@pytest.mark.drill
async def test_connections_that_died_while_idle_are_closed_without_a_request(
    dsns: Dsns, settings: Settings, superuser: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two are idle; one no longer answers, of which this end was not told."""
    monkeypatch.setattr(db.pool, "CHECK_IDLE_SECONDS", 0)
    often = msgspec.structs.replace(settings, database_health_check_interval=0.05)
    database = await Database.connect(dsns.api, often)
    pool = database.pool
    dead, alive = await pool.acquire(), await pool.acquire()

    async def unanswered(*_: Any, **__: Any) -> str:
        raise ConnectionResetError

    monkeypatch.setattr(dead, "execute", unanswered)
    pool.release(dead)
    pool.release(alive)
    await soon(lambda: dead.is_closed() and pool.idle == 1)  # the other one is not being checked
    assert await pool.acquire() is alive
    pool.release(alive)
    await database.close()


@pytest.mark.parametrize("changes", [{"path": "/no_such_database"}, {"netloc": "aclue_api:wrong@"}], ids=str)
async def test_a_log_in_that_postgres_refuses_is_no_fault_of_the_request(
    database: Database, dsns: Dsns, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str]
) -> None:
    """A password is being changed, or the database is replaced by a backup of it."""
    wrong = urlunsplit(urlsplit(dsns.api)._replace(**changes))
    with monkeypatch.context() as patched:
        patched.setattr(database.pool, "_connect", partial(asyncpg.connect, wrong))
        database.pool.renew()
        with structlog.testing.capture_logs() as logs, pytest.raises(Overloaded) as refused:
            async with database.session(ANONYMOUS, read_only=True) as session:
                await session.fetch("health.ready")
    assert (refused.value.retry_after, database.pool.size) == (5, 0)
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["Postgres refuses the log-in"]
    async with database.session(ANONYMOUS, read_only=True) as session:
        await session.fetch("health.ready")
