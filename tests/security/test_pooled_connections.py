"""A pooled connection keeps nothing of its previous session that the next one could notice."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest

import db.claims
from db.claims import ANONYMOUS, SERVICE, Claims
from db.database import Database
from domain.errors import Timeout
from settings import Settings
from tests.conftest import IN_BOTH_CLAIMS_MODES
from tests.security.canaries import claims_of, person_id
from tests.security.endings import BARE, state_of_next, with_one_connection

pytestmark = IN_BOTH_CLAIMS_MODES

WHO = "select current_user::text as role, current_setting('request.jwt.claims', true) as claims"
OWN_ROWS = "select user_id from public.swipes"
SLEEP = "select pg_sleep(20), 'a canary asleep'"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return with_one_connection(settings, statement_timeout=3000)


async def rows_seen(database: Database, claims: Claims) -> list[UUID]:
    async with database.session(claims, read_only=True) as session:
        return [row["user_id"] for row in await session.run(OWN_ROWS, [])]


@contextlib.asynccontextmanager
async def bare_connection(database: Database) -> AsyncIterator[Any]:
    connection = await database.pool.acquire()
    try:
        yield connection
    finally:
        database.pool.release(connection)


async def asleep(database: Database, claims: Claims) -> None:
    async with database.session(claims, read_only=True) as session:
        await session.run(SLEEP, [])


async def pid_of(database: Database) -> int:
    async with database.session(ANONYMOUS, read_only=True) as session:
        found: int = (await session.run("select pg_backend_pid()", []))[0][0]
        return found


async def test_a_connection_goes_back_without_role_or_claims(canaries: Any, database: Database) -> None:
    assert await rows_seen(database, claims_of("anna")) == [person_id("anna")]
    async with bare_connection(database) as connection:
        who = await connection.fetchrow(WHO)
        assert (who["role"], who["claims"]) == ("aclue_api", "")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch(OWN_ROWS)


async def test_claims_are_refused_outside_a_transaction(canaries: Any, database: Database) -> None:
    async with bare_connection(database) as connection:
        with pytest.raises(RuntimeError, match="inside a transaction"):
            await db.claims.apply(connection, claims_of("anna"), 1000)
        assert (await connection.fetchrow(WHO))["role"] == "aclue_api"
        async with connection.transaction():
            await db.claims.apply(connection, claims_of("anna"), 1000)
            assert [row["user_id"] for row in await connection.fetch(OWN_ROWS)] == [person_id("anna")]
        assert (await connection.fetchrow(WHO))["role"] == "aclue_api"


async def test_a_role_and_claims_left_on_a_connection_are_overridden_by_every_session(
    canaries: Any, database: Database
) -> None:
    """asyncpg's pool would not reset them either: RESET ALL leaves a role set for the session as it is."""
    async with bare_connection(database) as connection:
        await connection.execute("set role service_role")
        await connection.execute("select set_config('request.jwt.claims', $1, false)", claims_of("anna").raw)
    assert await rows_seen(database, claims_of("ben")) == [person_id("ben")]
    assert await rows_seen(database, ANONYMOUS) == []
    assert len(await rows_seen(database, SERVICE)) == 4
    async with bare_connection(database) as connection:
        assert (await connection.fetchrow(WHO))["role"] == "service_role"  # still the same connection


async def test_every_kind_of_session_sets_the_whole_of_its_claims(canaries: Any, database: Database) -> None:
    """An old spelling left on the connection counts no more than the new one."""
    async with bare_connection(database) as connection:
        for name, value in (("sub", str(person_id("anna"))), ("role", "service_role")):
            await connection.execute(f"select set_config('request.jwt.claim.{name}', $1, false)", value)
    async with database.session(ANONYMOUS, read_only=False) as session:
        (row,) = await session.run(
            "select current_setting('request.jwt.claim.sub', true) as sub,"
            " current_setting('request.jwt.claim.role', true) as role",
            [],
        )
        assert tuple(row) == ("", "anon")
    assert await rows_seen(database, claims_of("ben")) == [person_id("ben")]


async def test_a_failed_statement_leaves_nothing_behind(canaries: Any, database: Database) -> None:
    async def fail_half_way() -> None:
        async with database.session(claims_of("anna"), read_only=False) as session:
            await session.run("update public.profiles set display_name = 'half done'", [])
            await session.run("select 1 / 0", [])

    before = await pid_of(database)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await fail_half_way()
    assert await rows_seen(database, ANONYMOUS) == []
    assert await rows_seen(database, claims_of("ben")) == [person_id("ben")]
    assert await pid_of(database) == before
    assert await canaries.fetchval("select count(*) from public.profiles where display_name = 'half done'") == 0


async def test_a_statement_past_its_time_leaves_nothing_behind(canaries: Any, database: Database) -> None:
    with pytest.raises(Timeout):
        await asleep(database, claims_of("anna"))
    assert await rows_seen(database, ANONYMOUS) == []
    assert await rows_seen(database, claims_of("ben")) == [person_id("ben")]


async def is_asleep(superuser: asyncpg.Connection[Any]) -> bool:
    found: bool = await superuser.fetchval(
        "select exists (select from pg_stat_activity where pid <> pg_backend_pid() and state = 'active'"
        " and query like '%a canary asleep%')"
    )
    return found


async def until_asleep(superuser: asyncpg.Connection[Any], wanted: bool) -> None:
    for _ in range(250):
        if await is_asleep(superuser) is wanted:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it is still asleep" if not wanted else "it never went to sleep")


async def test_the_connection_of_a_cancelled_statement_is_as_good_as_new(
    canaries: Any, database: Database, superuser: asyncpg.Connection[Any]
) -> None:
    before = await pid_of(database)
    request = asyncio.create_task(asleep(database, claims_of("anna")))
    await until_asleep(superuser, True)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert not await is_asleep(superuser)
    assert await state_of_next(database) == BARE
    assert await rows_seen(database, claims_of("ben")) == [person_id("ben")]
    assert await pid_of(database) == before


async def test_no_cancellation_meets_the_statement_of_the_next(
    canaries: Any, database: Database, superuser: asyncpg.Connection[Any]
) -> None:
    """The next takes long enough that a cancel request which came late would end it."""
    for _ in range(25):
        request = asyncio.create_task(asleep(database, claims_of("anna")))
        await until_asleep(superuser, True)
        request.cancel()
        async with database.session(claims_of("ben"), read_only=True) as session:
            await session.run("select pg_sleep(0.02)", [])
        assert request.cancelled()


async def test_a_cancelled_statement_ends_in_postgres_too(
    canaries: Any, database: Database, superuser: asyncpg.Connection[Any]
) -> None:
    """Long before its time limit of three seconds would end it."""
    request = asyncio.create_task(asleep(database, claims_of("anna")))
    await until_asleep(superuser, True)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    async with asyncio.timeout(1.5):
        await until_asleep(superuser, False)


async def test_hanging_up_at_any_moment_leaves_a_pool_that_works(canaries: Any, database: Database) -> None:
    chance = random.Random(3)
    await rows_seen(database, ANONYMOUS)
    for _ in range(150):
        request = asyncio.create_task(rows_seen(database, claims_of("anna")))
        await asyncio.sleep(chance.uniform(0, 0.004))
        request.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            assert await request == [person_id("anna")]
        assert await rows_seen(database, claims_of("ben")) == [person_id("ben")]


async def test_hanging_up_twice_does_not_lose_the_connection(canaries: Any, database: Database) -> None:
    """A statement asked for through a loader runs in a task of its own; the session is closed once it is through."""

    async def request() -> None:
        async with database.session(claims_of("anna"), read_only=True) as session:
            statement = asyncio.create_task(session.run("select pg_sleep(0.3)", []))
            await asyncio.shield(statement)

    impatient = asyncio.create_task(request())
    for _ in range(2):
        await asyncio.sleep(0.1)
        impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    async with asyncio.timeout(3):
        assert await rows_seen(database, claims_of("ben")) == [person_id("ben")]


async def test_waiting_for_a_statement_of_a_closed_session_raises(canaries: Any, database: Database) -> None:
    """Not cancelled: they did nothing wrong, and a DataLoader would never answer."""
    session = database.session(claims_of("anna"), read_only=True)
    waiting = asyncio.create_task(session.run("select pg_sleep(5)", []))
    await asyncio.sleep(0.1)
    session.mark_rollback()
    await session.close()
    async with asyncio.timeout(1):
        with pytest.raises(RuntimeError, match="the session is closed"):
            await waiting


async def test_an_error_that_nobody_waits_for_is_not_logged(canaries: Any, database: Database) -> None:
    loop, logged = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: logged.append(context["message"]))
    async with database.session(claims_of("anna"), read_only=True) as session:
        loaders = session.loaders

        async def failing(keys: list[Any]) -> list[Any]:
            return await session.run("select 1 / 0", [])

        forgotten = loaders.custom("failing", failing).load(1)
        loaders.custom("failing", failing).load(2).cancel()
        with pytest.raises(asyncpg.DivisionByZeroError):
            await loaders.custom("failing too", failing).load(3)
        del forgotten
    async with database.session(claims_of("anna"), read_only=True) as second:
        given_up = asyncio.create_task(second.run("select 1 / (0 * length(pg_sleep(0.1)::text))", []))
        await asyncio.sleep(0.05)
        given_up.cancel()
        with pytest.raises(asyncpg.DivisionByZeroError):
            await second.run("select 1", [])
        del given_up, second
    gc.collect()
    assert logged == []
