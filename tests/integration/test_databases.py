"""The databases that tests are lent: what one test writes, the next one does not find."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg
import pytest

from tests import bases
from tests.bases import Base, to_database
from tests.bases.databases import Lent

Connection: TypeAlias = "asyncpg.Connection[Any]"

TABLES = """
select oid::regclass::text from pg_class
where relkind = 'r' and relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) order by 1
"""


async def rows_of(connection: Connection) -> dict[str, str | None]:
    """A digest of the rows of each table."""
    return {
        table: await connection.fetchval(
            f"select md5(string_agg(t::text, chr(10) order by t::text)) from only {table} t"
        )
        for (table,) in await connection.fetch(TABLES)
    }


@asynccontextmanager
async def borrowed(base: Base) -> AsyncIterator[tuple[Lent, Connection]]:
    assert base.dsns.superuser
    lent = await base.databases.lend(bases.FILLED, base.owner)
    connection = await asyncpg.connect(to_database(base.dsns.superuser, lent.name))
    try:
        yield lent, connection
    finally:
        await connection.close()
        await base.databases.take_back(lent)


async def test_rows_and_numbers_are_restored(base: Base) -> None:
    async with borrowed(base) as (first, connection):
        fresh = await rows_of(connection)
        await connection.execute("set session_replication_role = replica")
        await connection.execute("update products set name = 'another', price_minor = price_minor + 1")
        await connection.execute("delete from brands")
        await connection.execute("insert into profiles (id) select private.uuid_v7() from generate_series(1, 5)")
        await connection.execute("insert into import_runs (started_by, file_name) values ('a', 'a.csv')")
        assert await rows_of(connection) != fresh
    async with borrowed(base) as (second, connection):
        assert second.name == first.name
        assert await rows_of(connection) == fresh
        assert await connection.fetchval("insert into profiles default values returning true")
        assert await connection.fetchval("select pg_sequence_last_value('import_runs_number_seq')") is None
    async with borrowed(base) as (_, connection):
        assert await rows_of(connection) == fresh


@pytest.mark.parametrize(
    "change",
    [
        "alter table products disable trigger all",
        "create table another (id int)",
        "truncate idempotency_keys",
        "analyze categories",
        "do $$ begin execute format('alter database %I set jit = on', current_database()); end $$",
        "do $$ begin execute format('grant create on database %I to anon', current_database()); end $$",
    ],
)
async def test_what_is_more_than_rows_costs_the_database(base: Base, change: str) -> None:
    async with borrowed(base) as (first, connection):
        await connection.execute(change)
    async with borrowed(base) as (second, _):
        assert second.name != first.name
