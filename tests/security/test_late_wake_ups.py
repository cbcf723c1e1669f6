"""A connection has one owner at a time, however late a task learns that what it awaits has happened.

The reply to a commit may have arrived while the task that awaits it has not run yet, and a request may be cancelled in
between. Here this happens at every await of a session and of the pool, in both claims modes, on both event loops.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
import structlog
import uvloop

import settings as settings_module
from db.claims import SERVICE
from db.database import Database
from settings import ClaimsMode
from tests import bases
from tests.bases import Base
from tests.conftest import cloned
from tests.security.canaries import claims_of, person_id, plant
from tests.security.endings import BARE, STATE
from tests.security.late import LateWakeUp

CONNECTIONS = 2
OWN_ROWS = "select user_id from public.swipes"
FAILS = "select 1 / 0"
RENAME = "update public.profiles set display_name = display_name"

Request = Callable[[Database], Awaitable[Any]]


async def last_statement(database: Database) -> None:
    async with database.session(claims_of("anna"), read_only=True) as session:
        await session.run_last(OWN_ROWS, [])


async def last_of_two(database: Database) -> None:
    async with database.session(claims_of("anna"), read_only=True) as session:
        await session.run("select 1", [])
        await session.run_last(OWN_ROWS, [])


async def last_fails(database: Database) -> None:
    async with database.session(claims_of("anna"), read_only=True) as session:
        await session.run(OWN_ROWS, [])
        await session.run_last(FAILS, [])


async def reads(database: Database) -> None:
    async with database.session(claims_of("anna"), read_only=True) as session:
        await session.run(OWN_ROWS, [])


async def writes(database: Database) -> None:
    async with database.session(claims_of("anna"), read_only=False) as session:
        await session.run(RENAME, [])


async def writing_fails(database: Database) -> None:
    async with database.session(claims_of("anna"), read_only=False) as session:
        await session.run(RENAME, [])
        await session.run(FAILS, [])


async def switches_claims(database: Database) -> None:
    async with database.session(SERVICE, read_only=False) as session:
        await session.run("select 1", [])
        await session.switch_claims(claims_of("anna"))
        await session.run(OWN_ROWS, [])


async def fields_side_by_side(database: Database) -> None:
    async with database.session(claims_of("anna"), read_only=True) as session:
        await asyncio.gather(*(session.run(sql, []) for sql in (OWN_ROWS, FAILS, OWN_ROWS)))


async def hangs_up(database: Database) -> None:
    """Like the engine on a disconnect: cancels the running statement, and closes the session twice."""
    session = database.session(claims_of("anna"), read_only=True)
    try:
        await session.run(OWN_ROWS, [])
        await session.close()
    except asyncio.CancelledError:
        session.cancel()
        raise
    finally:
        session.mark_rollback()
        await session.close()


async def waits_for_a_connection(database: Database) -> None:
    held = [await database.pool.acquire() for _ in range(CONNECTIONS)]
    for number, connection in enumerate(held):
        asyncio.get_running_loop().call_later(0.001 * (number + 1), database.pool.release, connection)
    await last_of_two(database)


async def after_a_long_pause(database: Database) -> None:
    for connection in database.pool._idle:
        connection.used_at -= 3600
    await last_of_two(database)


async def on_a_new_connection(database: Database) -> None:
    database.pool.renew()
    await last_of_two(database)


REQUESTS: list[Request] = [
    last_statement,
    last_of_two,
    last_fails,
    reads,
    writes,
    writing_fails,
    switches_claims,
    fields_side_by_side,
    hangs_up,
    waits_for_a_connection,
    after_a_long_pause,
    on_a_new_connection,
]


async def assert_every_connection_has_one_owner(database: Database) -> None:
    pool = database.pool
    lent: list[Any] = []
    for _ in range(CONNECTIONS):
        lent.append(await pool.acquire())
    assert len(set(lent)) == CONNECTIONS
    for connection in lent:
        assert dict(await connection.fetchrow(STATE)) == BARE
    for connection in lent:
        pool.release(connection)
    assert (pool.size, pool.idle) == (CONNECTIONS, CONNECTIONS)
    async with database.session(claims_of("ben"), read_only=True) as session:
        assert [row["user_id"] for row in await session.run_last(OWN_ROWS, [])] == [person_id("ben")]


async def try_every_await(database: Database, request: Request, turns: int) -> int:
    """How many awaits there were."""
    await assert_every_connection_has_one_owner(database)  # and both have the statements prepared
    n = 0
    while True:
        probe = LateWakeUp(n, turns)
        outcome = await probe.run(lambda: request(database))
        expected = (asyncio.CancelledError, asyncpg.DivisionByZeroError)
        assert outcome is None or isinstance(outcome, expected), f"{request.__name__}, await {n}: {outcome!r}"
        await assert_every_connection_has_one_owner(database)
        if not probe.is_reached:
            return n
        n += 1


@pytest.mark.long
@pytest.mark.parametrize("claims_mode", list(ClaimsMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_no_late_wake_up_gives_a_connection_two_owners(
    base: Base, claims_mode: ClaimsMode, loop_factory: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    settings = msgspec.structs.replace(
        settings_module.load({"ACLUE_HOME": str(tmp_path), "CLAIMS_MODE": claims_mode.value}),
        database_pool_size=CONNECTIONS,
        database_max_overflow=0,
        database_pool_timeout=5,
    )

    async def try_all() -> dict[str, int]:
        async with cloned(base, bases.TEMPLATE) as dsns:
            assert dsns.owner
            owner = await asyncpg.connect(dsns.owner)
            await plant(owner)
            await owner.close()
            database = await Database.connect(dsns.api, settings)
            try:
                return {
                    request.__name__: sum([await try_every_await(database, request, turns) for turns in (1, 3)])
                    for request in REQUESTS
                }
            finally:
                await database.close()

    with structlog.testing.capture_logs() as logged, asyncio.Runner(loop_factory=loop_factory) as runner:
        awaits = runner.run(try_all())
    assert [entry for entry in logged if entry["log_level"] == "error"] == []
    assert min(awaits.values()) >= 2, awaits
