"""Lends the databases of tests, which are copies of templates, over one connection that is kept."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar
from uuid import uuid4

import asyncpg

T = TypeVar("T")
Connection: TypeAlias = "asyncpg.Connection[Any]"

_DISCONNECT = "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity where datname = $1"
_NEXT_TRANSACTION = "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint"


@dataclass(frozen=True)
class Lent:
    """A database, and the number of the next transaction that writes to the server, as it was when it was lent."""

    name: str
    template: str
    next_transaction: int


class Databases:
    """A superuser's connection on an event loop of its own, in a thread: each test has another loop, and would have to
    log in for its database."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: Connection | None = None
        self._unwritten: dict[str, str] = {}  # template: a copy of it that is like it still
        self._lock = asyncio.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    async def copy(self, template: str, name: str, owner: str) -> None:
        """Creates a copy of a database to which nobody is connected."""
        await self._run(lambda connection: _copy(connection, template, name, owner))

    async def lend(self, template: str, owner: str) -> Lent:
        """A copy of the template. One that was returned as it was lent is lent again: copying takes longer than many
        a test."""
        return await self._run(lambda connection: self._lend(connection, template, owner))

    async def take_back(self, lent: Lent) -> None:
        """Closes what is connected to the database, and drops it if anything was written to the server meanwhile."""
        await self._run(lambda connection: self._take_back(connection, lent))

    async def _lend(self, connection: Connection, template: str, owner: str) -> Lent:
        name = self._unwritten.pop(template, None)
        if name is None:
            name = f"test_{uuid4().hex[:12]}"
            await _copy(connection, template, name, owner)
        return Lent(name, template, await connection.fetchval(_NEXT_TRANSACTION))

    async def _take_back(self, connection: Connection, lent: Lent) -> None:
        await connection.fetchval(_DISCONNECT, lent.name)
        is_unwritten = lent.next_transaction == await connection.fetchval(_NEXT_TRANSACTION)
        if is_unwritten and lent.template not in self._unwritten:
            self._unwritten[lent.template] = lent.name
        else:
            await connection.execute(f"drop database {lent.name} with (force)")

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
