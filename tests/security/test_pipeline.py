"""Claims never stay on a connection, however a request of one or more statements ends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import msgspec
import pytest

from db.claims import ANONYMOUS, REQUEST_ID, SERVICE, Claims
from db.database import Database
from db.embedded import Dsns
from domain.errors import Overloaded, Timeout
from settings import Settings
from tests.conftest import IN_BOTH_CLAIMS_MODES
from tests.integration.waiting import until
from tests.security.canaries import claims_of, person_id
from tests.security.endings import BARE, cancelled_at, state_of_next, with_one_connection

pytestmark = IN_BOTH_CLAIMS_MODES

OWN_ROWS = "select user_id from public.swipes"
PEOPLE = ("anna", "ben", "carol")
ASLEEP = "from pg_stat_activity where wait_event = 'PgSleep' and usename = 'aclue_api'"
Ask = Callable[[Database, Claims, str, list[Any]], Awaitable[Any]]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return with_one_connection(settings, statement_timeout=300)


async def only(database: Database, claims: Claims, sql: str, arguments: list[Any]) -> Any:
    async with database.session(claims, read_only=True) as session:
        return await session.run_last(sql, arguments)


async def reading(database: Database, claims: Claims, sql: str, arguments: list[Any]) -> Any:
    async with database.session(claims, read_only=True) as session:
        return await session.run(sql, arguments)


async def writing(database: Database, claims: Claims, sql: str, arguments: list[Any]) -> Any:
    async with database.session(claims, read_only=False) as session:
        return await session.run(sql, arguments)


async def second(database: Database, claims: Claims, sql: str, arguments: list[Any]) -> Any:
    async with database.session(claims, read_only=False) as session:
        await session.run("select 1", [])
        return await session.run(sql, arguments)


ASKING = pytest.mark.parametrize("ask", [only, reading, writing, second], ids=lambda ask: ask.__name__)

WELL = ("select auth.uid()", [])
BADLY: dict[str, tuple[str, list[Any], type[Exception]]] = {
    "syntax": ("select select", [], asyncpg.PostgresSyntaxError),
    "no such table": ("select * from public.nothing", [], asyncpg.UndefinedTableError),
    "division by zero": ("select 1 / $1::int", [0], asyncpg.DivisionByZeroError),
    "too late": ("select pg_sleep(60)", [], Timeout),
    "not allowed": ("select * from pg_catalog.pg_authid", [], asyncpg.InsufficientPrivilegeError),
    "not a number": ("select $1::text::int", ["many"], asyncpg.InvalidTextRepresentationError),
    "refused by Postgres at Bind": ("select $1::jsonb", ["no JSON"], asyncpg.InvalidTextRepresentationError),
    "refused by asyncpg": ("select $1::int", ["many"], asyncpg.DataError),
    "too large for asyncpg": ("select $1::int", [2**40], asyncpg.DataError),
    "not Unicode": ("select $1::text", ["\ud800"], asyncpg.DataError),
    "too many arguments": ("select $1::int", [1, 2], asyncpg.InterfaceError),
    "no arguments": ("select $1::int", [], asyncpg.InterfaceError),
}


@ASKING
async def test_a_request_leaves_a_bare_connection(canaries: Any, database: Database, ask: Ask) -> None:
    REQUEST_ID.set("the request of anna")
    for _ in range(3):  # the first prepares the statement
        assert (await ask(database, claims_of("anna"), *WELL))[0][0] == person_id("anna")
        assert await state_of_next(database) == BARE


@ASKING
async def test_every_failure_leaves_a_bare_connection(canaries: Any, database: Database, ask: Ask) -> None:
    for failure, (sql, arguments, error) in BADLY.items():
        for _ in range(3):
            with pytest.raises(error):
                await ask(database, claims_of("anna"), sql, arguments)
            assert await state_of_next(database) == BARE, failure
            assert (await ask(database, ANONYMOUS, *WELL))[0][0] is None, failure
            assert (await ask(database, claims_of("ben"), OWN_ROWS, []))[0][0] == person_id("ben"), failure


@ASKING
async def test_a_broken_constraint_leaves_a_bare_connection(canaries: Any, database: Database, ask: Ask) -> None:
    if ask in (only, reading):
        wrong, error = ("insert into public.brands (slug, name) values ('x', 'x')", asyncpg.ReadOnlySQLTransactionError)
    else:
        wrong, error = ("insert into public.brands (slug, name) values ('', 'x')", asyncpg.CheckViolationError)
    for _ in range(3):
        with pytest.raises(error):
            await ask(database, SERVICE, wrong, [])
        assert await state_of_next(database) == BARE


async def test_without_claims_there_is_no_query(canaries: asyncpg.Connection[Any], database: Database) -> None:
    """Here Postgres refuses the claims: a time limit that it cannot read. The statement behind them never runs."""
    add = "insert into public.brands (slug, name) values ('behind-them', 'x')"
    async with database.session(SERVICE, read_only=False) as session:  # prepared, and rolled back
        await session.run(add, [])
        session.mark_rollback()
    with pytest.raises(asyncpg.InvalidParameterValueError):
        async with database.session(SERVICE, read_only=False, statement_timeout_ms=2**40) as session:
            await session.run(add, [])
    assert await state_of_next(database) == BARE
    assert await canaries.fetchval("select count(*) from public.brands where slug = 'behind-them'") == 0


@ASKING
@pytest.mark.parametrize("known", [False, True], ids=["new statement", "known statement"])
async def test_hanging_up_at_each_await_leaves_a_bare_connection(
    canaries: Any, database: Database, ask: Ask, known: bool
) -> None:
    waits = 0
    while True:
        if known:
            await ask(database, ANONYMOUS if waits % 2 else claims_of("ben"), OWN_ROWS, [])
            await ask(database, claims_of("anna"), OWN_ROWS, [])
        else:
            database.pool.renew()
        if not await cancelled_at(ask(database, claims_of("anna"), OWN_ROWS, []), waits):
            break
        assert await state_of_next(database) == BARE
        assert (await ask(database, claims_of("ben"), OWN_ROWS, []))[0][0] == person_id("ben")
        assert database.pool.size == 1
        waits += 1
    # But for the only one, a statement runs in a task of its own, whose awaits are not the request's.
    assert waits >= (1 if known else 5 if ask is only else 2)


@pytest.mark.drill
@ASKING
async def test_losing_the_connection_leaves_a_bare_one(
    canaries: Any, dsns: Dsns, settings: Settings, superuser: asyncpg.Connection[Any], ask: Ask
) -> None:
    """In the middle of a statement, on the first connection and on those that replaced it: where a read is repeated,
    until that is given up."""
    sleep = "select pg_sleep(20)"
    attempts = 1 if ask is writing or ask is second else 1 + settings.database_retries
    database = await Database.connect(dsns.api, msgspec.structs.replace(settings, database_statement_timeout=20_000))
    for _ in range(3):
        await ask(database, claims_of("ben"), *WELL)
        request = asyncio.create_task(ask(database, claims_of("anna"), sleep, []))
        for _ in range(attempts):
            await until(superuser, f"exists (select {ASLEEP})")
            await superuser.execute(f"select pg_terminate_backend(pid, 5000) {ASLEEP}")
        with pytest.raises(Overloaded):
            await request
        assert await state_of_next(database) == BARE
        assert (await ask(database, claims_of("ben"), OWN_ROWS, []))[0][0] == person_id("ben")
    await database.close()


@ASKING
async def test_claims_without_a_query_wait_for_nobody(canaries: Any, database: Database, ask: Ask) -> None:
    """asyncpg refuses an argument when the claims are to go out with the query: neither is sent."""
    for _ in range(3):
        await ask(database, claims_of("anna"), "select $1::int", [1])
        with pytest.raises(asyncpg.DataError):
            await ask(database, claims_of("anna"), "select $1::int", ["many"])
        assert await state_of_next(database) == BARE
        assert (await ask(database, claims_of("ben"), OWN_ROWS, []))[0][0] == person_id("ben")


async def test_thousands_of_interleaved_sessions_each_see_their_own(
    canaries: Any, dsns: Dsns, settings: Settings
) -> None:
    patient = msgspec.structs.replace(settings, database_pool_size=3, database_statement_timeout=30_000)
    few = await Database.connect(dsns.api, patient)
    chance = random.Random(4)
    seen = dict.fromkeys(PEOPLE, 0)
    pids: set[int] = set()

    async def one(name: str) -> None:
        claims, ask = claims_of(name), chance.choice([only, only, reading, writing, second])
        kind = chance.random()
        if kind < 0.15:
            sql, arguments, error = chance.choice([bad for name, bad in BADLY.items() if name != "too late"])
            with pytest.raises(error):
                await ask(few, claims, sql, arguments)
        elif kind < 0.25:
            await cancelled_at(ask(few, claims, OWN_ROWS, []), chance.randrange(4))
        elif kind < 0.35:
            assert await ask(few, ANONYMOUS, OWN_ROWS, []) == []
        else:
            rows = await ask(few, claims, "select user_id, auth.uid(), pg_backend_pid() from public.swipes", [])
            assert [tuple(row)[:2] for row in rows] == [(person_id(name), person_id(name))]
            pids.add(rows[0][2])
            seen[name] += 1

    at_once = asyncio.Semaphore(12)

    async def limited(name: str) -> None:
        async with at_once:
            await one(name)

    async with asyncio.TaskGroup() as group:
        for _ in range(2000):
            group.create_task(limited(chance.choice(PEOPLE)))
    for _ in range(few.pool.size):
        assert await state_of_next(few) == BARE
    assert min(seen.values()) > 300
    assert len(pids) >= 3
    await few.close()
