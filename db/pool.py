"""Connections of the API's log-in: bounded in number and in those who wait, recycled by age, tried after idling.

No reset round trip: claims are local to their transaction, so there is nothing to reset when a connection comes back.
In return, a connection has one owner at a time and comes back idle: whatever breaks that rule is a fault of ours by
which two people could share a transaction. Such a connection is ended and the fault logged, wherever it is noticed.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import asyncpg
import structlog

from db.pipeline import Pipeline
from domain.errors import Overloaded
from settings import Settings

log = structlog.get_logger("aclue.db")

CHECK_IDLE_SECONDS = 30.0
CHECK_TIMEOUT_SECONDS = 5.0
CLOSE_TIMEOUT_SECONDS = 5.0


def _counted(method: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """The method, which counts as an operation of its connection until its caller goes on."""

    @functools.wraps(method)
    async def counted(self: ApiConnection, *arguments: Any, **options: Any) -> Any:
        self.operations += 1
        try:
            return await method(self, *arguments, **options)
        finally:
            self.operations -= 1

    return counted


class ApiConnection(asyncpg.Connection):
    """A connection and what is known of it. `pipeline` is None with CLAIMS_MODE=transaction. `owner` is whom the pool
    has lent it to. `operations` counts the statements whose caller has not got the result yet: asyncpg tells of none
    once the reply has arrived, although the task that waits for it has not run."""

    pipeline: Pipeline | None = None
    opened_at: float = 0.0
    used_at: float = 0.0
    owner: object = None
    operations: int = 0

    execute = _counted(asyncpg.Connection.execute)
    executemany = _counted(asyncpg.Connection.executemany)
    fetch = _counted(asyncpg.Connection.fetch)
    fetchrow = _counted(asyncpg.Connection.fetchrow)
    fetchval = _counted(asyncpg.Connection.fetchval)
    prepare = _counted(asyncpg.Connection.prepare)

    @property
    def fault(self) -> str | None:
        """Why nobody else may have the connection now; None where it is idle, or closed."""
        if self.is_closed():
            return None
        if self.operations:
            return "an operation is under way"
        if self.is_in_transaction():
            return "a transaction is open"
        return None


class Pool:
    """The connection that came back last is lent first, so that those in use are few and warm."""

    def __init__(self, connect: Callable[[], Awaitable[ApiConnection]], settings: Settings) -> None:
        self._connect = connect
        self._settings = settings
        self._most = settings.database_pool_size + settings.database_max_overflow
        self._idle: list[ApiConnection] = []
        self._lent: set[ApiConnection] = set()
        self._opening = 0
        self._waiting: deque[asyncio.Future[ApiConnection | None]] = deque()
        self._outdated_before = 0.0
        self._closing = False
        self._all_back = asyncio.Event()

    @property
    def size(self) -> int:
        """Connections there are, those being opened included."""
        return len(self._idle) + len(self._lent) + self._opening

    @property
    def idle(self) -> int:
        return len(self._idle)

    @property
    def waiting(self) -> int:
        """Tasks that wait for a connection."""
        return len(self._waiting)

    async def acquire(self, owner: object = None) -> ApiConnection:
        """A healthy connection, lent to `owner`, who alone can give it back. Raises Overloaded when none is free within
        DATABASE_POOL_TIMEOUT, or at once where DATABASE_POOL_QUEUE wait already; what connecting raises when a new one
        cannot be opened."""
        deadline = 0.0
        while True:
            if self._closing:
                raise Overloaded("The server is shutting down.", retry_after=2)
            connection: ApiConnection | None = None
            if self._idle:
                connection = self._idle.pop()
                if connection in self._lent:
                    _end_faulty(connection, "it was to be lent twice")
                    continue
                self._lent.add(connection)
            else:
                deadline = deadline or asyncio.get_running_loop().time() + self._settings.database_pool_timeout
                is_full = self.size >= self._most
                try:
                    async with asyncio.timeout_at(deadline):
                        connection = await (self._wait() if is_full else self.open())
                except TimeoutError:
                    raise _busy() from None
            if connection is not None and await self._is_healthy(connection):
                connection.owner = owner
                return connection

    async def open(self) -> ApiConnection:
        """A new connection, lent. Raises OSError or asyncpg.PostgresError where there can be none."""
        self._opening += 1
        try:
            connection = await self._connect()
        except BaseException:
            self._opening -= 1
            self._hand_over(None)
            raise
        self._opening -= 1
        self._lent.add(connection)
        return connection

    def release(self, connection: ApiConnection, owner: object = None) -> None:
        """Takes a connection back from its owner. One that is broken or too old goes no further, nor does one that
        is not this owner's, or not idle: that is a fault, and logged."""
        now = time.monotonic()
        if connection not in self._lent:
            _end_faulty(connection, "it was given back, but is not lent")
            if connection in self._idle:
                self._idle.remove(connection)
                self._hand_over(None)
            return
        if connection.owner is not owner:
            _end_faulty(connection, "it was given back by another than its owner")  # who drops it when they notice
            return
        connection.owner = None
        fault = connection.fault
        if fault is not None:
            _end_faulty(connection, fault)
        if connection.is_closed() or self._closing or self._is_old(connection, now):
            self._drop(connection)
        else:
            connection.used_at = now
            if not self._hand_over(connection):
                self._lent.discard(connection)
                self._idle.append(connection)
            if self._idle and now - self._idle[0].used_at > self._settings.database_pool_recycle:
                self._idle.pop(0).terminate()

    def renew(self) -> None:
        """No connection there is now is lent again: what they have prepared fits the schema no more."""
        self._outdated_before = time.monotonic()

    async def close(self) -> None:
        """Waits a little for those that are lent, then ends them."""
        self._closing = True
        while self._hand_over(None):
            pass
        for connection in self._idle:
            connection.terminate()
        self._idle.clear()
        if self._lent:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                    await self._all_back.wait()
        for connection in self._lent:
            connection.terminate()

    def _is_old(self, connection: ApiConnection, now: float) -> bool:
        opened = connection.opened_at
        return now - opened > self._settings.database_pool_recycle or opened <= self._outdated_before

    async def _is_healthy(self, connection: ApiConnection) -> bool:
        """Whether it can be lent; ended where it cannot."""
        now = time.monotonic()
        fault = connection.fault
        if fault is not None:
            _end_faulty(connection, fault)
        if connection.is_closed() or self._is_old(connection, now):
            self._drop(connection)
            return False
        if not self._settings.database_pool_pre_ping or now - connection.used_at < CHECK_IDLE_SECONDS:
            return True
        try:
            await connection.execute("select 1", timeout=CHECK_TIMEOUT_SECONDS)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self._drop(connection)
            return False
        except BaseException:  # cancelled meanwhile
            self._drop(connection)
            raise
        return True

    def _drop(self, connection: ApiConnection) -> None:
        connection.terminate()
        self._lent.discard(connection)
        self._hand_over(None)
        if self._closing and not self._lent:
            self._all_back.set()

    async def _wait(self) -> ApiConnection | None:
        """A connection that came back, or None when it is worth trying again."""
        if len(self._waiting) >= self._settings.database_pool_queue:
            raise _busy()
        waiter: asyncio.Future[ApiConnection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except BaseException:
            if waiter.cancelled():
                with contextlib.suppress(ValueError):  # taken off meanwhile
                    self._waiting.remove(waiter)
            elif (connection := waiter.result()) is not None:  # handed over in the moment of the cancellation
                self.release(connection)
            else:
                self._hand_over(None)
            raise

    def _hand_over(self, connection: ApiConnection | None) -> bool:
        """Gives it to whoever has waited longest: a connection, or the word that a place is free."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False


def _end_faulty(connection: ApiConnection, fault: str) -> None:
    """Ends a connection that two could share. Its owner, where there is one, is told by its next statement."""
    log.error("the pool ended a connection", fault=fault, pid=connection.get_server_pid(), stack_info=True)
    connection.terminate()


def _busy() -> Overloaded:
    return Overloaded("The server is busy, try again shortly.", retry_after=2)
