"""Lends the databases of tests, which are copies of templates, over one connection that is kept."""

from __future__ import annotations

import asyncio
import io
import threading
from collections import defaultdict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

T = TypeVar("T")
Connection: TypeAlias = "asyncpg.Connection[Any]"

_MAX_RESTORED = 40  # times; deleted rows take space, and the space of tables changes plans
_MAX_CONTENT_BYTES = 100_000  # of a table; copying the whole database takes less time than its rows

_DISCONNECT = "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity where datname = $1"
_NEXT_TRANSACTION = "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint"

# A backend reports what it has written before it disappears from pg_stat_activity.
_WRITTEN = """
select c.oid, n.nspname as schema, c.relname as name, c.relnamespace = 'pg_catalog'::regnamespace as is_catalog,
  pg_relation_size(c.oid) as bytes
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and not c.relisshared
  and pg_stat_get_tuples_inserted(c.oid) + pg_stat_get_tuples_updated(c.oid) + pg_stat_get_tuples_deleted(c.oid) > 0
"""
_IS_CHANGED = """
select d.datacl is not null or exists (select from pg_db_role_setting s where s.setdatabase = d.oid)
from pg_database d where d.datname = current_database()
"""
_SEQUENCES = """
select s.seqrelid::regclass::text as name, pg_sequence_last_value(s.seqrelid) as value from pg_sequence s order by 1
"""
_SET_SEQUENCES = """
select setval(name::regclass, coalesce(value, 1), value is not null)
from unnest($1::text[], $2::bigint[]) given (name, value)
where pg_sequence_last_value(name::regclass) is distinct from value
"""
_COLUMNS = """
select array_agg(attname::text order by attnum) from pg_attribute
where attrelid = $1 and attnum > 0 and not attisdropped and attgenerated = ''
"""


@dataclass(frozen=True)
class Lent:
    """A database, and the number of the next transaction that writes to the server, as it was when it was lent.
    `restored`: how often what tests wrote to it has been undone."""

    name: str
    template: str
    next_transaction: int
    restored: int = 0


@dataclass(frozen=True)
class Content:
    """The rows of a table in a template, in the binary format of COPY; None: too many."""

    columns: list[str]
    rows: bytes | None


class Databases:
    """A superuser's connection on an event loop of its own, in a thread: each test has another loop, and would have to
    log in for its database."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: Connection | None = None
        self._ready: dict[str, list[Lent]] = defaultdict(list)  # by template: copies of it that are like it still
        self._contents: dict[tuple[str, int], Content] = {}
        self._sequences: dict[str, list[asyncpg.Record]] = {}
        self._lock = asyncio.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    async def copy(self, template: str, name: str, owner: str) -> None:
        """Creates a copy of a database to which nobody is connected."""
        await self._run(lambda connection: _copy(connection, template, name, owner))

    async def lend(self, template: str, owner: str) -> Lent:
        """A copy of the template, or one that was returned and is like it again: copying takes longer than many a
        test."""
        return await self._run(lambda connection: self._lend(connection, template, owner))

    async def take_back(self, lent: Lent) -> None:
        """Closes what is connected to the database and undoes what was written to it, or drops it if that would be more
        than its rows."""
        await self._run(lambda connection: self._take_back(connection, lent))

    async def _lend(self, connection: Connection, template: str, owner: str) -> Lent:
        if self._ready[template]:
            lent = self._ready[template].pop()
        else:
            lent = Lent(f"test_{uuid4().hex[:12]}", template, 0)
            await _copy(connection, template, lent.name, owner)
        return replace(lent, next_transaction=await connection.fetchval(_NEXT_TRANSACTION))

    async def _take_back(self, connection: Connection, lent: Lent) -> None:
        await connection.fetchval(_DISCONNECT, lent.name)
        if lent.next_transaction == await connection.fetchval(_NEXT_TRANSACTION):
            self._ready[lent.template].append(lent)
        elif lent.restored < _MAX_RESTORED and await self._restore(lent):
            self._ready[lent.template].append(replace(lent, restored=lent.restored + 1))
        else:
            await connection.execute(f"drop database {lent.name} with (force)")

    async def _restore(self, lent: Lent) -> bool:
        """Makes a database like its template again, if only rows of small tables differ; returns whether it is."""
        connection = await asyncpg.connect(self._dsn_of(lent.name))
        try:
            written = await connection.fetch(_WRITTEN)
            if any(table["is_catalog"] or table["bytes"] > _MAX_CONTENT_BYTES for table in written):
                return False
            if await connection.fetchval(_IS_CHANGED):
                return False
            contents = await self._contents_of(lent.template, written)
            if any(content.rows is None for content in contents):
                return False
            async with connection.transaction():
                await connection.execute("set local session_replication_role = replica")  # no triggers, no foreign keys
                for table, content in zip(written, contents, strict=True):
                    await _replace_rows(connection, table, content)
                sequences = self._sequences[lent.template]
                await connection.execute(
                    _SET_SEQUENCES, [row["name"] for row in sequences], [row["value"] for row in sequences]
                )
            await connection.execute("select pg_stat_force_next_flush()")
            await connection.execute("select pg_stat_reset()")
            return True
        except asyncpg.InsufficientPrivilegeError:  # facts that nobody may delete: their triggers fire always
            return False
        finally:
            await connection.close()

    async def _contents_of(self, template: str, tables: list[asyncpg.Record]) -> list[Content]:
        """What these tables have in the template: the oid of a table is the same in copies."""
        unknown = [table for table in tables if (template, table["oid"]) not in self._contents]
        if unknown or template not in self._sequences:
            connection = await asyncpg.connect(self._dsn_of(template))
            for table in unknown:
                self._contents[template, table["oid"]] = await _read(connection, table)
            self._sequences[template] = await connection.fetch(_SEQUENCES)
            await connection.close()
            assert self._connection is not None
            await self._connection.fetchval(_DISCONNECT, template)  # it has to be gone before the next copy
        return [self._contents[template, table["oid"]] for table in tables]

    def _dsn_of(self, name: str) -> str:
        return urlunsplit(urlsplit(self._dsn)._replace(path=f"/{name}"))

    async def _run(self, work: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._connected(work), self._loop))

    async def _connected(self, work: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
        async with self._lock:
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(self._dsn)
            return await work(self._connection)

    def close(self) -> None:
        if self._connection is not None:
            asyncio.run_coroutine_threadsafe(self._connection.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _copy(connection: Connection, template: str, name: str, owner: str) -> None:
    await connection.execute(f"create database {name} template {template} strategy file_copy owner {owner}")


async def _read(connection: Connection, table: asyncpg.Record) -> Content:
    columns = await connection.fetchval(_COLUMNS, table["oid"])
    if await connection.fetchval("select pg_table_size($1::oid::regclass)", table["oid"]) > _MAX_CONTENT_BYTES:
        return Content(columns, None)
    buffer = io.BytesIO()
    await connection.copy_from_table(
        table["name"], schema_name=table["schema"], columns=columns, output=buffer, format="binary"
    )
    return Content(columns, buffer.getvalue())


async def _replace_rows(connection: Connection, table: asyncpg.Record, content: Content) -> None:
    schema, name = table["schema"], table["name"]
    await connection.execute(f'delete from only "{schema}"."{name}"')
    if content.rows:
        await connection.copy_to_table(
            name, schema_name=schema, columns=content.columns, source=io.BytesIO(content.rows), format="binary"
        )
