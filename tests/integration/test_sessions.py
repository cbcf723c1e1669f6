"""Sessions: one transaction on a connection of one's own, kept whole or not at all."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import msgspec
import pytest
import structlog

import db.database
import db.pipeline
import settings as settings_module
from db.claims import ANONYMOUS, SERVICE, Claims
from db.database import Database
from db.embedded import Dsns
from db.pool import MAX_CUT_OFFS, ApiConnection
from db.session import CANCEL_TIMEOUT_SECONDS, Session
from db.usage import METER, Meter
from domain.errors import Overloaded, Timeout, Unauthenticated, WriteConflict
from settings import ClaimsMode, Settings
from tests.conftest import IN_BOTH_CLAIMS_MODES
from tests.integration.waiting import until

pytestmark = IN_BOTH_CLAIMS_MODES

Connection: TypeAlias = "asyncpg.Connection[Any]"
ADD_BRAND = "insert into public.brands (slug, name) values ($1, $1)"
BRANDS = "select slug from public.brands order by slug"
PID = "select pg_backend_pid()"


@pytest.fixture
async def narrow(dsns: Dsns, tmp_path: Path, claims_mode: ClaimsMode) -> AsyncIterator[Database]:
    """A pool of one connection, for which nobody waits long; statements may take a fifth of a second."""
    given = {
        "CLAIMS_MODE": claims_mode.value,
        "ACLUE_HOME": str(tmp_path),
        "DATABASE_POOL_SIZE": "1",
        "DATABASE_MAX_OVERFLOW": "0",
        "DATABASE_POOL_TIMEOUT": "0.2",
        "DATABASE_STATEMENT_TIMEOUT": "200",
    }
    opened = await Database.connect(dsns.api, settings_module.load(given))
    yield opened
    await opened.close()


def reading(database: Database, claims: Claims = SERVICE) -> Session:
    return database.session(claims, read_only=True)


def writing(database: Database, claims: Claims = SERVICE) -> Session:
    return database.session(claims, read_only=False)


async def brands(owner: Connection) -> list[str]:
    return [row["slug"] for row in await owner.fetch(BRANDS)]


async def test_what_was_written_is_kept(database: Database, owner: Connection) -> None:
    async with writing(database) as session:
        await session.run(ADD_BRAND, ["alder"])
    assert await brands(owner) == ["alder"]


async def test_nobody_sees_a_write_before_the_session_is_closed(database: Database, owner: Connection) -> None:
    async with writing(database) as session:
        await session.run(ADD_BRAND, ["alder"])
        assert await brands(owner) == []


async def test_all_reads_of_a_session_see_one_snapshot(database: Database, owner: Connection) -> None:
    async with reading(database) as session:
        assert await session.run(BRANDS, []) == []
        await owner.execute(ADD_BRAND, "alder")
        assert await session.run(BRANDS, []) == []
    async with reading(database) as session:
        assert len(await session.run(BRANDS, [])) == 1


async def test_a_reading_session_cannot_write(database: Database, owner: Connection) -> None:
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        async with reading(database) as session:
            await session.run(ADD_BRAND, ["alder"])
    assert await brands(owner) == []


async def test_a_failure_of_the_caller_leaves_nothing(database: Database, owner: Connection) -> None:
    async def work() -> None:
        async with writing(database) as session:
            await session.run(ADD_BRAND, ["alder"])
            raise LookupError

    with pytest.raises(LookupError):
        await work()
    assert await brands(owner) == []


async def test_a_failed_statement_makes_close_roll_back(database: Database, owner: Connection) -> None:
    session = writing(database)
    await session.run(ADD_BRAND, ["alder"])
    with pytest.raises(asyncpg.UniqueViolationError):
        await session.run(ADD_BRAND, ["alder"])
    await session.close()
    assert await brands(owner) == []


async def test_an_abandoned_session_leaves_nothing(database: Database, owner: Connection) -> None:
    async with writing(database) as session:
        await session.run(ADD_BRAND, ["alder"])
        session.mark_rollback()
    assert await brands(owner) == []


async def test_a_failure_does_not_follow_the_connection(narrow: Database, owner: Connection) -> None:
    with pytest.raises(asyncpg.PostgresError):
        async with writing(narrow) as session:
            await session.run("select 1 / 0", [])
    async with writing(narrow) as session:
        await session.run(ADD_BRAND, ["alder"])
    assert await brands(owner) == ["alder"]


async def test_claims_do_not_follow_the_connection(narrow: Database) -> None:
    somebody = Claims("authenticated", UUID(int=1), raw=f'{{"role":"authenticated","sub":"{UUID(int=1)}"}}')
    who = "select auth.uid(), current_user::text, pg_backend_pid()"
    async with reading(narrow, somebody) as session:
        ((subject, role, first),) = await session.run(who, [])
        assert (subject, role) == (UUID(int=1), "authenticated")
    async with reading(narrow, ANONYMOUS) as session:
        ((subject, role, second),) = await session.run(who, [])
        assert (subject, role) == (None, "anon")
    assert first == second


async def test_a_session_that_asks_nothing_takes_no_connection(narrow: Database) -> None:
    async with reading(narrow), reading(narrow), reading(narrow) as session:
        assert await session.run("select 1", [])


async def test_a_closed_session_answers_no_more(database: Database) -> None:
    session = reading(database)
    await session.close()
    with pytest.raises(RuntimeError, match="closed"):
        await session.run("select 1", [])


async def test_statements_asked_for_at_once_run_one_after_the_other(narrow: Database) -> None:
    async with reading(narrow) as session:
        found = await asyncio.gather(*(session.run("select $1::int", [n]) for n in range(10)))
    assert [rows[0][0] for rows in found] == list(range(10))


async def test_a_statement_that_takes_too_long_is_stopped(narrow: Database) -> None:
    with pytest.raises(Timeout):
        async with reading(narrow) as session:
            await session.run("select pg_sleep(60)", [])
    async with reading(narrow) as session:
        assert await session.run("select 1", [])


async def test_without_a_free_connection_the_caller_has_to_retry(narrow: Database) -> None:
    async with reading(narrow) as session:
        await session.run("select 1", [])
        with pytest.raises(Overloaded) as refused:
            await reading(narrow).run("select 1", [])
        assert refused.value.retry_after > 0


async def test_a_connection_that_is_given_back_serves_the_next(narrow: Database) -> None:
    for _ in range(5):
        async with reading(narrow) as session:
            await session.run("select 1", [])


STUBBORN = """
do $$ begin
  loop
    begin
      perform pg_sleep(600);
    exception when query_canceled then
    end;
  end loop;
end $$
"""
GONE = "not exists (select from pg_stat_activity where pid = $1)"
ASLEEP = "exists (select from pg_stat_activity where pid = $1 and wait_event = 'PgSleep')"


async def cancelled_in_the_middle(database: Database, superuser: Connection) -> int:
    """Writes, is cancelled in a long statement, and gives the pid of the backend it had."""
    session = writing(database)
    pid: int = (await session.run(PID, []))[0][0]

    async def work() -> None:
        async with session:
            await session.run("set statement_timeout = 0", [])
            await session.run(ADD_BRAND, ["alder"])
            await session.run("select pg_sleep(600)", [])

    task = asyncio.create_task(work())
    await until(superuser, ASLEEP, pid)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return pid


async def test_the_connection_of_a_cancelled_task_is_used_again(narrow: Database, superuser: Connection) -> None:
    """Opening one costs more than most statements."""
    pid = await cancelled_in_the_middle(narrow, superuser)
    async with reading(narrow) as session:
        assert (await session.run(PID, []))[0][0] == pid


async def test_not_after_a_hundred_cancellations(narrow: Database) -> None:
    """Each may have left a prepared statement in Postgres that nobody knows."""
    async with reading(narrow) as session:
        pid = (await session.run(PID, []))[0][0]
        connection = session._connection
        assert connection is not None
        connection.cut_offs = MAX_CUT_OFFS
    async with reading(narrow) as session:
        assert (await session.run(PID, []))[0][0] != pid


async def test_a_statement_that_goes_on_when_it_is_cancelled_loses_its_connection(
    narrow: Database, superuser: Connection
) -> None:
    meter = Meter()
    METER.set(meter)
    session = reading(narrow)
    pid = (await session.run(PID, []))[0][0]
    stubborn = asyncio.create_task(session.run(STUBBORN, []))
    await until(superuser, ASLEEP, pid)
    session.cancel()
    await session.close()
    with pytest.raises(RuntimeError, match="the session is closed"):
        await stubborn
    assert (meter.cut_off, meter.closed) == (1, 1)
    assert meter.seconds > CANCEL_TIMEOUT_SECONDS * 0.9
    await until(superuser, GONE, pid)
    async with reading(narrow) as another:
        assert (await another.run(PID, []))[0][0] != pid


async def test_what_a_cancelled_session_still_had_to_do_does_not_begin(narrow: Database, superuser: Connection) -> None:
    session = writing(narrow)
    pid = (await session.run(PID, []))[0][0]
    await session.run("set statement_timeout = 0", [])
    first = asyncio.create_task(session.run("select pg_sleep(600)", []))
    await until(superuser, ASLEEP, pid)
    second = asyncio.create_task(session.run("select pg_sleep(600)", []))
    await asyncio.sleep(0)
    session.cancel()
    async with asyncio.timeout(5):
        await session.close()
        for waiting in (first, second):
            with pytest.raises(RuntimeError, match="the session is closed"):
                await waiting


async def test_what_a_cancelled_task_wrote_is_not_kept_by_the_next(narrow: Database, superuser: Connection) -> None:
    await cancelled_in_the_middle(narrow, superuser)
    async with writing(narrow) as session:
        await session.run(ADD_BRAND, ["birch"])
    assert await brands(superuser) == ["birch"]


@pytest.mark.drill
async def test_the_statement_of_a_cancelled_task_stops_in_postgres(narrow: Database, superuser: Connection) -> None:
    pid = await cancelled_in_the_middle(narrow, superuser)
    assert not await superuser.fetchval(f"select {ASLEEP}", pid)


@pytest.mark.drill
async def test_a_connection_that_was_lost_is_replaced(narrow: Database, superuser: Connection) -> None:
    async with reading(narrow) as session:
        pid = (await session.run(PID, []))[0][0]
    await superuser.execute("select pg_terminate_backend($1)", pid)
    await until(superuser, GONE, pid)
    async with reading(narrow) as session:
        assert (await session.run(PID, []))[0][0] != pid


SLEEP = "select pg_sleep(60)"


async def end_once_asleep(superuser: Connection, pid: int) -> None:
    await until(superuser, ASLEEP, pid)
    await superuser.execute("select pg_terminate_backend($1, 5000)", pid)


@pytest.mark.drill
@pytest.mark.parametrize("is_last", [False, True])
async def test_a_read_whose_connection_is_lost_is_repeated(
    database: Database, superuser: Connection, is_last: bool
) -> None:
    """And only that: asleep on the first connection, awake on the next."""
    pid = await pid_of(database)
    sql = f"select pg_backend_pid(), pg_sleep(case pg_backend_pid() when {pid} then 60 else 0 end)"
    async with reading(database) as session:
        asking = asyncio.create_task(session.run_last(sql, []) if is_last else session.run(sql, []))
        await end_once_asleep(superuser, pid)
        assert (await asking)[0][0] != pid


@pytest.mark.drill
async def test_what_followed_another_read_is_not_repeated(database: Database, superuser: Connection) -> None:
    """It would be of another snapshot."""
    async with reading(database) as session:
        pid = (await session.run(PID, []))[0][0]
        asking = asyncio.create_task(session.run(SLEEP, []))
        await end_once_asleep(superuser, pid)
        with pytest.raises(Overloaded):
            await asking


@pytest.mark.drill
async def test_a_write_whose_connection_is_lost_is_not_repeated(
    database: Database, superuser: Connection, owner: Connection
) -> None:
    pid = await pid_of(database)
    session = writing(database)
    slow = f"insert into public.brands (slug, name) select 'x', pg_sleep(60) || 'x' where pg_backend_pid() = {pid}"
    asking = asyncio.create_task(session.run(slow, []))
    await end_once_asleep(superuser, pid)
    with pytest.raises(Overloaded):
        await asking
    with pytest.raises(Overloaded):
        await session.run(ADD_BRAND, ["alder"])
    await session.close()
    assert await brands(owner) == []


async def pid_of(database: Database) -> int:
    """Of the connection that the next session gets."""
    async with reading(database) as session:
        pid: int = (await session.run(PID, []))[0][0]
    return pid


@pytest.mark.drill
async def test_after_a_deadlock_one_transaction_may_be_retried(database: Database, owner: Connection) -> None:
    await owner.execute("insert into public.brands (slug, name) values ('alder', 'Alder'), ('birch', 'Birch')")
    rename = "update public.brands set name = 'x' where slug = $1"
    met = asyncio.Barrier(2)

    async def work(first: str, second: str) -> None:
        async with writing(database) as session:
            await session.run(rename, [first])
            await met.wait()
            await session.run(rename, [second])

    results = await asyncio.gather(work("alder", "birch"), work("birch", "alder"), return_exceptions=True)
    assert {type(result) for result in results} == {type(None), WriteConflict}


async def test_a_person_who_is_gone_has_to_sign_in_again(database: Database) -> None:
    somebody = Claims("authenticated", UUID(int=1), raw=f'{{"role":"authenticated","sub":"{UUID(int=1)}"}}')
    with pytest.raises(Unauthenticated):
        async with writing(database, somebody) as session:
            await session.fetch("consents.record", purposes=["marketing"], granted=[True], policy_version="1")


async def test_what_is_to_follow_a_commit_follows_nothing_else(database: Database, owner: Connection) -> None:
    """Such as the log's word that a person was erased: it must not be said of somebody who is still there."""
    said: list[str] = []
    async with database.session(SERVICE, read_only=False) as session:
        await session.run(ADD_BRAND, ["kept"])
        session.after_commit(lambda: said.append("kept"))
        assert said == []
    async with database.session(SERVICE, read_only=False) as session:
        await session.run(ADD_BRAND, ["abandoned"])
        session.after_commit(lambda: said.append("abandoned"))
        session.mark_rollback()
    # Refused at the commit itself: an occasion of a recipient that there is not.
    person = await owner.fetchval("insert into public.profiles default values returning id")
    session = database.session(SERVICE, read_only=False)
    await session.run("set constraints all deferred", [])
    await session.run(
        "insert into public.occasions (user_id, recipient_id, kind, occurs_on) values ($1, $1, 'birthday', now())",
        [person],
    )
    session.after_commit(lambda: said.append("refused"))
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await session.close()
    assert said == ["kept"]


async def test_a_statement_that_is_given_up_leaves_the_connection_to_the_others(
    database: Database, superuser: Connection
) -> None:
    async with reading(database) as session:
        pid = (await session.run(PID, []))[0][0]
        given_up = asyncio.create_task(session.run("select pg_sleep(1)", []))
        await until(superuser, ASLEEP, pid)
        given_up.cancel()
        assert (await session.run(PID, []))[0][0] == pid
    assert given_up.cancelled()


# --- run_last


async def test_the_only_statement_of_a_session_is_answered(narrow: Database) -> None:
    for number in range(3):  # the first prepares it
        async with reading(narrow) as session:
            assert [tuple(row) for row in await session.run_last("select $1::int as n", [number])] == [(number,)]


async def test_the_only_statement_runs_under_the_claims(narrow: Database) -> None:
    somebody = Claims("authenticated", UUID(int=1), raw=f'{{"role":"authenticated","sub":"{UUID(int=1)}"}}')
    who = "select auth.uid(), current_user::text, current_setting('statement_timeout')"
    for _ in range(3):
        async with reading(narrow, somebody) as session:
            assert tuple((await session.run_last(who, []))[0]) == (UUID(int=1), "authenticated", "200ms")


async def test_nothing_follows_the_only_statement(narrow: Database) -> None:
    for _ in range(2):
        async with reading(narrow) as session:
            await session.run_last("select 1", [])
            with pytest.raises(RuntimeError, match="closed"):
                await session.run("select 1", [])


async def test_the_last_statement_sees_what_the_first_one_saw(narrow: Database, owner: Connection) -> None:
    for number in range(3):
        async with reading(narrow) as session:
            before = await session.run("select count(*) from public.brands", [])
            await owner.execute(ADD_BRAND, f"late-{number}")
            assert await session.run_last("select count(*) from public.brands", []) == before


async def test_the_last_statement_ends_the_transaction_with_it(
    narrow: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        async with reading(narrow) as session:
            await session.run("select 1", [])
            connection = session._connection
            assert connection and connection.is_in_transaction()
            with monkeypatch.context() as patch:  # it sends nothing of its own, where claims are pipelined
                if connection.pipeline is not None:
                    patch.setattr(ApiConnection, "execute", None)
                await session.run_last("select 2", [])
            assert not connection.is_in_transaction()
            assert narrow.pool.idle == 1


async def test_a_last_statement_that_fails_leaves_no_transaction(narrow: Database) -> None:
    for _ in range(3):
        session = reading(narrow)
        await session.run("select 1", [])
        connection = session._connection
        with pytest.raises(asyncpg.DivisionByZeroError):
            await session.run_last("select 1 / 0", [])
        await session.close()
        assert connection and not connection.is_in_transaction()
        assert await connection.fetchval("select current_user::text") == "aclue_api"


async def test_a_session_that_writes_has_no_last_read(narrow: Database) -> None:
    async with writing(narrow) as session:
        with pytest.raises(RuntimeError, match="its commit"):
            await session.run_last("select 1", [])


async def test_the_only_statement_cannot_write(database: Database, owner: Connection) -> None:
    for number in range(3):
        async with writing(database) as session:  # prepared for this role, where it may be
            await session.run(ADD_BRAND, [f"brand-{number}"])
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            async with reading(database) as session:
                await session.run_last(ADD_BRAND, ["alder"])
    assert len(await brands(owner)) == 3


async def test_the_only_statement_that_takes_too_long_is_stopped(narrow: Database) -> None:
    for _ in range(2):
        with pytest.raises(Timeout):
            async with reading(narrow) as session:
                await session.run_last("select pg_sleep(60)", [])


async def test_the_only_statement_that_is_slow_is_logged(dsns: Dsns, settings: Settings) -> None:
    impatient = await Database.connect(dsns.api, msgspec.structs.replace(settings, database_slow_query_threshold=10))
    for _ in range(2):
        with structlog.testing.capture_logs() as logs:
            async with reading(impatient) as session:
                await session.run_last("select pg_sleep(0.05)", [])
        assert [(line["event"], line["sql"]) for line in logs] == [("slow query", "select pg_sleep(0.05)")]
    await impatient.close()


async def test_statements_are_prepared_again_after_a_schema_change(database: Database, owner: Connection) -> None:
    """Of the connections that there were, one request notices; none after it does."""
    everything = "select * from public.brands where slug = 'alder'"
    sessions = [reading(database) for _ in range(4)]
    for session in sessions:
        await session.run(everything, [])
    for session in sessions:
        await session.close()
    await owner.execute("alter table public.brands add column extra int")
    with pytest.raises(asyncpg.InvalidCachedStatementError):
        async with reading(database) as session:
            await session.run_last(everything, [])
    for _ in range(4):
        async with reading(database) as session:
            await session.run_last(everything, [])


async def test_of_many_statements_the_ones_used_last_stay_prepared(
    narrow: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without end, they would fill the memory of Postgres."""
    monkeypatch.setattr(db.pipeline, "MAX_STATEMENTS", 10)
    monkeypatch.setattr(db.database, "MAX_STATEMENTS", 10)
    narrow.pool.renew()
    for number in range(30):
        async with reading(narrow) as session:
            await session.run_last(f"select {number}", [])
    async with reading(narrow) as session:
        (count,) = (await session.run_last("select count(*) from pg_prepared_statements", []))[0]
    assert 10 <= count <= 18


WHO = "select current_user::text as role, auth.uid() as person, auth.role() as claimed"


async def test_within_as_service_the_role_alone_is_another(database: Database, owner: Connection) -> None:
    """Before the first statement and after, and the person stays who they are."""
    person = await owner.fetchval("insert into public.profiles default values returning id")
    raw = f'{{"sub":"{person}","role":"authenticated"}}'
    anna = Claims("authenticated", person, raw=raw)
    seen = []
    async with writing(database, anna) as session:
        async with session.as_service():
            seen.append((await session.run(WHO, []))[0])
        seen.append((await session.run(WHO, []))[0])
        for _ in range(2):  # prepared by now
            async with session.as_service():
                seen.append((await session.run(WHO, []))[0])
            seen.append((await session.run(WHO, []))[0])
        assert session.claims is anna
    roles = ["service_role", "authenticated"] * 3
    assert [tuple(row) for row in seen] == [(role, person, role) for role in roles]


async def test_an_error_within_as_service_does_not_leave_its_role_behind(database: Database, owner: Connection) -> None:
    person = await owner.fetchval("insert into public.profiles default values returning id")
    anna = Claims("authenticated", person, raw=f'{{"sub":"{person}","role":"authenticated"}}')
    async with writing(database, anna) as session:
        await session.run(WHO, [])
        with contextlib.suppress(LookupError):
            async with session.as_service():
                await session.run(WHO, [])
                raise LookupError
        assert (await session.run(WHO, []))[0]["role"] == "authenticated"
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with session.as_service():
                await session.run("select 1 / 0", [])
        assert session.claims is anna
        with pytest.raises(asyncpg.DivisionByZeroError):
            await session.run(WHO, [])


async def test_nobody_has_service_role_work_for_them(database: Database) -> None:
    async with writing(database, ANONYMOUS) as session:
        with pytest.raises(RuntimeError, match="on behalf of a person"):
            async with session.as_service():
                raise AssertionError("never reached")
