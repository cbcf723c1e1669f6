"""The databases that tests are lent: what one test writes, the next one does not find."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg
import pytest

from tests import bases
from tests.bases import Base, to_database
from tests.bases.databases import Databases, Lent

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


class Lender:
    """Lends copies that no other test has had."""

    def __init__(self, base: Base) -> None:
        assert base.dsns.superuser
        self._dsn, self._owner = base.dsns.superuser, base.owner
        self.databases = Databases(to_database(self._dsn, "postgres"))

    @asynccontextmanager
    async def borrowed(self) -> AsyncIterator[tuple[Lent, Connection]]:
        lent = await self.databases.lend(bases.FILLED, self._owner)
        connection = await asyncpg.connect(to_database(self._dsn, lent.name))
        try:
            yield lent, connection
        finally:
            await connection.close()
            await self.databases.take_back(lent)


@pytest.fixture
def lender(base: Base) -> Iterator[Lender]:
    lender = Lender(base)
    yield lender
    lender.databases.close()


async def test_rows_and_numbers_are_restored(lender: Lender) -> None:
    async with lender.borrowed() as (first, connection):
        fresh = await rows_of(connection)
        await connection.execute("set session_replication_role = replica")
        await connection.execute("update products set name = 'another', price_minor = price_minor + 1")
        await connection.execute("delete from brands")
        await connection.execute("insert into profiles (id) select private.uuid_v7() from generate_series(1, 5)")
        await connection.execute("insert into import_runs (started_by, file_name) values ('a', 'a.csv')")
        assert await rows_of(connection) != fresh
    async with lender.borrowed() as (second, connection):
        assert second.name == first.name
        assert await rows_of(connection) == fresh
        assert await connection.fetchval("insert into profiles default values returning true")
        assert await connection.fetchval("select pg_sequence_last_value('import_runs_number_seq')") is None
    async with lender.borrowed() as (_, connection):
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
async def test_what_is_more_than_rows_costs_the_database(lender: Lender, change: str) -> None:
    async with lender.borrowed() as (first, connection):
        await connection.execute(change)
    async with lender.borrowed() as (second, _):
        assert second.name != first.name
