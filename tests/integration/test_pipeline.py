"""What db/pipeline.py takes for granted of asyncpg and Postgres. When a new asyncpg fails here, read that file before
the pin in pyproject.toml is raised: claims would no longer stand in front of the query they are meant for."""

from __future__ import annotations

import re
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from db import pipeline
from db.claims import ANONYMOUS, REQUEST_ID, Claims
from db.database import Database
from db.failures import LOST
from db.pipeline import Pipeline
from db.pool import ApiConnection

ROOT = Path(pipeline.__file__).resolve().parents[1]
SOMEBODY = Claims("authenticated", UUID(int=1), raw=f'{{"role":"authenticated","sub":"{UUID(int=1)}"}}')
BROKEN = f"asyncpg {asyncpg.__version__} breaks an assumption of db/pipeline.py; use CLAIMS_MODE=transaction with it: "


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[ApiConnection]:
    lent = await database.pool.acquire()
    yield lent
    database.pool.release(lent)


def pipeline_of(connection: ApiConnection) -> Pipeline:
    assert connection.pipeline
    return connection.pipeline


async def ask(connection: ApiConnection, sql: str, before: bytes = b"", *arguments: Any) -> list[Any]:
    pipe = pipeline_of(connection)
    statement = pipe.known("-", sql) or await pipe.prepare("-", sql)
    await connection.execute("select")  # ends the transaction in which asyncpg prepared it
    return await pipe.fetch(statement, arguments, before)


def test_the_installed_asyncpg_is_the_one_that_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (pin,) = (text for text in project["dependencies"] if text.startswith("asyncpg"))
    found = re.fullmatch(r"asyncpg==(\d+\.\d+)\.\*", pin)
    assert found, f"{pin}: db/pipeline.py needs asyncpg pinned to one minor version"
    assert asyncpg.__version__.startswith(f"{found[1]}."), BROKEN + f"pyproject.toml says {pin}"


async def test_asyncpg_still_has_what_is_used_of_it(connection: ApiConnection) -> None:
    raw: Any = connection
    assert callable(raw._protocol.wire.write), BROKEN + "Connection._protocol, and the loop that it is given"
    assert callable(raw._protocol.bind_execute), BROKEN + "Connection._protocol.bind_execute"
    assert isinstance(raw._protocol.queries_count, int), BROKEN + "Connection._protocol.queries_count"
    statement: Any = await connection.prepare("select 1")
    assert statement._state.name, BROKEN + "PreparedStatement._state"


async def test_what_is_written_before_a_query_belongs_to_its_transaction(connection: ApiConnection) -> None:
    rows = await ask(
        connection,
        "select current_user::text, current_setting('request.jwt.claim.sub')",
        pipeline.single_statement_prefix(SOMEBODY, 1000),
    )
    assert [tuple(row) for row in rows] == [("authenticated", str(UUID(int=1)))], (
        BROKEN + "messages in front of a query"
    )


async def test_it_ends_with_the_query(connection: ApiConnection) -> None:
    await ask(connection, "select 1", pipeline.single_statement_prefix(SOMEBODY, 1000))
    assert not connection.is_in_transaction()
    assert await connection.fetchval("select current_user::text") == "aclue_api"


async def test_a_transaction_that_was_begun_so_goes_on(connection: ApiConnection) -> None:
    await ask(connection, "select 1", pipeline.begin_prefix(SOMEBODY, 1000, read_only=True))
    assert connection.is_in_transaction()
    state = (
        "select current_user::text, current_setting('transaction_isolation'), current_setting('transaction_read_only')"
    )
    assert tuple(await connection.fetchrow(state) or ()) == ("authenticated", "repeatable read", "on")
    await connection.execute("rollback")
    await ask(connection, "select 1", pipeline.begin_prefix(SOMEBODY, 1000, read_only=False))
    assert tuple(await connection.fetchrow(state) or ()) == ("authenticated", "read committed", "off")
    await connection.execute("rollback")


async def test_the_query_is_the_only_one_that_asyncpg_counts(connection: ApiConnection) -> None:
    """One answer to wait for: one round trip."""
    pipe, protocol = pipeline_of(connection), pipeline_of(connection)._protocol
    await ask(connection, "select 1")
    statement = pipe.known("-", "select 1")
    assert statement
    before = protocol.queries_count
    await pipe.fetch(statement, [], pipeline.single_statement_prefix(SOMEBODY, 1000))
    assert protocol.queries_count == before + 1


@pytest.mark.parametrize(
    "make", [pipeline.single_statement_prefix, lambda *of: pipeline.begin_prefix(*of, read_only=False)]
)
async def test_every_setting_arrives(connection: ApiConnection, make: Any) -> None:
    REQUEST_ID.set("Ω")
    person = Claims("anon", UUID(int=7), raw='{"name":"Zoë"}')
    names = [
        *("role", "request.jwt.claims", "request.jwt.claim", "request.jwt.claim.sub", "request.jwt.claim.role"),
        *("aclue.request_id", "statement_timeout"),
    ]
    sql = "select " + ", ".join(f"current_setting('{name}')" for name in names)
    (row,) = await ask(connection, sql, make(person, 1234))
    assert tuple(row) == ("anon", '{"name":"Zoë"}', "", str(UUID(int=7)), "anon", "Ω", "1234ms")
    if connection.is_in_transaction():
        await connection.execute("rollback")


async def test_the_role_is_set_last(connection: ApiConnection, owner: asyncpg.Connection[Any]) -> None:
    """Postgres computes a select list from left to right, and rows that OFFSET skips too."""
    await owner.execute("create table public.trace (at int generated always as identity, who text)")
    await owner.execute("grant insert on public.trace to anon, aclue_api")
    await owner.execute(
        "create function public.traced(name text, value text, local bool) returns text language plpgsql as $$"
        " begin insert into public.trace (who) values (current_user); return set_config(name, value, local); end $$"
    )
    await owner.execute("grant execute on function public.traced to anon, aclue_api")
    sql = pipeline.APPLY.replace("set_config(", "public.traced(")
    async with connection.transaction():
        assert await connection.fetch(sql, "anon", "{}", "", "1000", "") == []
    who = [row["who"] for row in await owner.fetch("select who from public.trace order by at")]
    assert who == ["aclue_api"] * 7


async def test_claims_and_their_query_are_one_write(connection: ApiConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    wire: Any = pipeline_of(connection)._wire
    await ask(connection, "select 1")
    written: list[bytes] = []
    write = wire._write
    monkeypatch.setattr(wire, "_write", lambda data: (written.append(bytes(data)), write(data)))
    statement = pipeline_of(connection).known("-", "select 1")
    assert statement
    await pipeline_of(connection).fetch(statement, [], pipeline.single_statement_prefix(SOMEBODY, 1000))
    (sent,) = written
    assert sent.startswith(pipeline.single_statement_prefix(SOMEBODY, 1000)), BROKEN + "who writes first"


async def test_with_a_refused_argument_nothing_is_written(connection: ApiConnection) -> None:
    """The claims are not kept for whatever is asked next; the error looks like one of Postgres."""
    with pytest.raises(asyncpg.PostgresError, match="invalid input for query argument"):
        await ask(connection, "select $1::int", pipeline.single_statement_prefix(SOMEBODY, 1000), "many")
    assert await connection.fetchval("select current_user::text") == "aclue_api"
    (row,) = await ask(connection, "select current_user::text")
    assert row[0] == "aclue_api"


async def test_a_refused_argument_within_a_transaction_ends_nothing(connection: ApiConnection) -> None:
    with pytest.raises(asyncpg.DataError):
        await ask(connection, "select $1::int", b"", "many")
    assert not connection.is_closed()


async def test_an_error_of_the_claims_is_the_query_s(connection: ApiConnection) -> None:
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await ask(connection, "select 1", pipeline.single_statement_prefix(ANONYMOUS, 2**40))
    assert not connection.is_in_transaction()
    assert not connection.is_closed()


async def test_a_connection_that_was_closed_has_no_cancellation_to_wait_for(connection: ApiConnection) -> None:
    """It ends while a session that was cut off finishes; then it is lost, as for any statement."""
    connection.terminate()
    with pytest.raises(LOST):
        await pipeline.cancellation_ended(connection, 1)
