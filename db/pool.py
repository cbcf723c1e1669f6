"""The connection pool of the API's log-in: bounded in connections and in waiting tasks, with recycling by age, health
checks after idling and in the background, and retries while Postgres cannot be reached.

There is no reset round trip: claims are local to their transaction, so there is nothing to reset when a connection is
returned. In exchange, a connection has one owner at a time and is idle when returned: a violation is a bug by which two
people could share a transaction. Wherever one is detected, the connection is closed and the fault logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import asyncpg
import structlog

from db import metrics
from db.failures import LOST, UNREACHABLE
from db.loop_lag import LoopLag
from db.pipeline import Pipeline
from domain.errors import Overloaded
from settings import Settings

log = structlog.get_logger("aclue.db")

CHECK_IDLE_SECONDS = 30.0
CHECK_TIMEOUT_SECONDS = 3.0
CLOSE_TIMEOUT_SECONDS = 5.0
MAX_CUT_OFFS = 100  # per connection: a statement that is cancelled while it is prepared leaves its name in Postgres


def _counted(method: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Wraps a method so that it counts as an operation of its connection until its caller resumes."""

    @functools.wraps(method)
    async def counted(self: ApiConnection, *arguments: Any, **options: Any) -> Any:
        self.operations += 1
        try:
            return await method(self, *arguments, **options)
        finally:
            self.operations -= 1

    return counted


class ApiConnection(asyncpg.Connection):
    """A connection with its bookkeeping. `pipeline` is None with CLAIMS_MODE=transaction. `owner` is who has acquired
    it. `operations` counts the statements whose caller has not resumed yet: asyncpg considers a statement done once the
    reply has arrived, although the awaiting task has not run. `cut_offs` counts the cancelled ones."""

    pipeline: Pipeline | None = None
    opened_at: float = 0.0
    used_at: float = 0.0
    owner: object = None
    operations: int = 0
    cut_offs: int = 0

    execute = _counted(asyncpg.Connection.execute)
    executemany = _counted(asyncpg.Connection.executemany)
    fetch = _counted(asyncpg.Connection.fetch)
    fetchrow = _counted(asyncpg.Connection.fetchrow)
    fetchval = _counted(asyncpg.Connection.fetchval)
    prepare = _counted(asyncpg.Connection.prepare)

    @property
    def fault(self) -> str | None:
        """Why the connection must not be handed out; None if it is idle, or closed."""
        if self.is_closed():
            return None
        if self.operations:
            return "an operation is under way"
        if self.is_in_transaction():
            return "a transaction is open"
        return None


class Pool:
    """LIFO: the connection returned last is handed out first, so that few are in use, and warm."""

    def __init__(self, connect: Callable[[], Awaitable[ApiConnection]], settings: Settings) -> None:
        self._connect = connect
        self._settings = settings
        self._max_size = settings.database_pool_size + settings.database_max_overflow
        self._idle: list[ApiConnection] = []
        self._lent: set[ApiConnection] = set()
        self._opening = 0
        self._openings: set[asyncio.Task[ApiConnection]] = set()  # of `acquire`
        self._waiting: deque[asyncio.Future[ApiConnection | None]] = deque()  # for a connection, or a free slot
        self._paused: deque[asyncio.Future[ApiConnection | None]] = deque()  # for a connection, as none can be opened
        self._outdated_before = 0.0
        self._distrusted_before = 0.0
        self._checking: asyncio.Task[None] | None = None
        self._closing = False
        self._all_back = asyncio.Event()
        self.lag = LoopLag()

    @property
    def size(self) -> int:
        """The number of connections, including those being opened."""
        return len(self._idle) + len(self._lent) + self._opening

    @property
    def max_size(self) -> int:
        """The number of connections that it may have."""
        return self._max_size

    @property
    def idle(self) -> int:
        return len(self._idle)

    @property
    def waiting(self) -> int:
        """The number of tasks that are waiting for a connection."""
        return len(self._waiting) + len(self._paused)

    @property
    def retries(self) -> int:
        return self._settings.database_retries

    def start(self) -> None:
        """Starts checking idle connections in the background, and measuring the lag of the event loop."""
        self.lag.start()
        self._checking = asyncio.create_task(self._check_forever())

    async def acquire(self, owner: object = None) -> ApiConnection:
        """Acquires a healthy connection for `owner`, who alone can release it. Raises Overloaded if none is free within
        DATABASE_POOL_TIMEOUT, or at once if DATABASE_POOL_QUEUE tasks are waiting already; and what connecting raises
        if a new one cannot be opened, nor one is returned, in DATABASE_RETRIES further attempts."""
        deadline = 0.0
        failures = 0
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
                is_full = self.size >= self._max_size
                try:
                    async with asyncio.timeout_at(deadline) as patience:
                        connection = await (self._wait(self._waiting) if is_full else self._opened())
                except UNREACHABLE:
                    if patience.expired():
                        metrics.LIMITS.labels("pool").inc()
                        raise _busy() from None
                    if failures == self.retries:
                        raise
                    failures += 1
                    connection = await self._pause(failures)
            if connection is not None and await self._is_healthy(connection):
                connection.owner = owner
                return connection

    async def _opened(self) -> ApiConnection:
        """Opens a connection. If the caller is cancelled, the pool keeps it, as most of the work is done by then."""
        opening = asyncio.ensure_future(self.open())
        self._openings.add(opening)
        opening.add_done_callback(self._openings.discard)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._keep)
            raise

    def _keep(self, opening: asyncio.Task[ApiConnection]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            self.release(opening.result())

    async def _pause(self, failures: int) -> ApiConnection | None:
        """Waits before the next attempt to open a connection, or until one is returned: while others take all
        connections of Postgres, this pool still has its own."""
        delay = self._settings.database_retry_delay * 2 ** (failures - 1) * random.uniform(0.5, 1)  # noqa: S311  jitter
        try:
            async with asyncio.timeout(delay):
                return await self._wait(self._paused)
        except TimeoutError:
            return None

    async def open(self) -> ApiConnection:
        """Opens a connection, which counts as acquired. Raises OSError or asyncpg.PostgresError if that fails."""
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
        """Returns a connection from its owner. It is closed if it is broken or too old; or if it is not this owner's or
        not idle, which is a fault, and logged."""
        now = time.monotonic()
        if connection not in self._lent:
            _end_faulty(connection, "it was given back, but is not lent")
            if connection in self._idle:
                self._idle.remove(connection)
                self._hand_over(None)
            return
        if connection.owner is not owner:
            _end_faulty(connection, "it was given back by another than its owner")  # whose next use fails
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
        """Retires all current connections: their prepared statements no longer match the schema, or their server has
        become a standby."""
        self._outdated_before = time.monotonic()

    def distrust(self) -> None:
        """Has all idle connections checked before they are handed out, because another one was lost."""
        self._distrusted_before = time.monotonic()

    async def close(self) -> None:
        """Waits for acquired connections for a few seconds, then closes all."""
        self._closing = True
        self.lag.stop()
        if self._checking is not None:
            self._checking.cancel()
        for waiter in (*self._waiting, *self._paused):
            if not waiter.done():
                waiter.set_result(None)
        for connection in self._idle:
            connection.terminate()
        self._idle.clear()
        for opening in self._openings:
            opening.cancel()
        if self._lent:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                    await self._all_back.wait()
        for connection in self._lent:
            connection.terminate()

    def _is_old(self, connection: ApiConnection, now: float) -> bool:
        opened = connection.opened_at
        is_due = now - opened > self._settings.database_pool_recycle or opened <= self._outdated_before
        return is_due or connection.cut_offs >= MAX_CUT_OFFS

    async def _is_healthy(self, connection: ApiConnection) -> bool:
        """Checks a connection before it is handed out, and closes it if it fails."""
        now = time.monotonic()
        fault = connection.fault
        if fault is not None:
            _end_faulty(connection, fault)
        if connection.is_closed() or self._is_old(connection, now):
            self._drop(connection)
            return False
        is_fresh = now - connection.used_at < CHECK_IDLE_SECONDS and connection.used_at > self._distrusted_before
        if not self._settings.database_pool_pre_ping or is_fresh:
            return True
        return await self._answers(connection)

    async def _answers(self, connection: ApiConnection) -> bool:
        """Sends a connection a statement, and closes it if it fails."""
        try:
            await connection.execute("select 1", timeout=CHECK_TIMEOUT_SECONDS)
        except (*LOST, asyncpg.PostgresError) as error:
            self._drop(connection)
            if isinstance(error, TimeoutError):  # the network: the others will not answer either, one after the other
                self._drop_idle()
            return False
        except BaseException:  # cancelled
            self._drop(connection)
            raise
        return True

    async def _check_forever(self) -> None:
        """Checks connections that have been idle, every DATABASE_HEALTH_CHECK_INTERVAL seconds: so dead and old ones
        are closed before a request would meet them."""
        while True:
            await asyncio.sleep(self._settings.database_health_check_interval)
            before = self.size
            for connection in tuple(self._idle):
                if connection in self._idle and time.monotonic() - connection.used_at > CHECK_IDLE_SECONDS:
                    self._idle.remove(connection)
                    self._lent.add(connection)
                    if connection.is_closed() or self._is_old(connection, time.monotonic()):
                        self._drop(connection)
                    elif await self._answers(connection):
                        self.release(connection)
            if self.size < before:
                log.info("the pool closed idle connections", closed=before - self.size, left=self.size)

    def _drop_idle(self) -> None:
        while self._idle:
            self._idle.pop().terminate()
            self._hand_over(None)

    def _drop(self, connection: ApiConnection) -> None:
        connection.terminate()
        self._lent.discard(connection)
        self._hand_over(None)
        if self._closing and not self._lent:
            self._all_back.set()

    async def _wait(self, queue: deque[asyncio.Future[ApiConnection | None]]) -> ApiConnection | None:
        """Waits for a returned connection; None means that a new one may be opened."""
        if self.waiting >= self._settings.database_pool_queue:
            metrics.LIMITS.labels("pool").inc()
            raise _busy()
        started = time.perf_counter()
        waiter: asyncio.Future[ApiConnection | None] = asyncio.get_running_loop().create_future()
        queue.append(waiter)
        try:
            return await waiter
        except BaseException:
            if waiter.cancelled():
                with contextlib.suppress(ValueError):  # already removed
                    queue.remove(waiter)
            elif (connection := waiter.result()) is not None:  # handed over just before the cancellation
                self.release(connection)
            else:
                self._hand_over(None)
            raise
        finally:
            metrics.POOL_WAIT_SECONDS.observe(time.perf_counter() - started)

    def _hand_over(self, connection: ApiConnection | None) -> bool:
        """Gives a connection, or with None a free slot, to the task that has waited longest."""
        for queue in (self._waiting,) if connection is None else (self._waiting, self._paused):
            while queue:
                waiter = queue.popleft()
                if not waiter.done():
                    waiter.set_result(connection)
                    return True
        return False


def _end_faulty(connection: ApiConnection, fault: str) -> None:
    """Closes a connection that two owners could share. The rightful owner, if any, gets an error on the next
    statement."""
    log.error("the pool ended a connection", fault=fault, pid=connection.get_server_pid(), stack_info=True)
    connection.terminate()


def _busy() -> Overloaded:
    return Overloaded("The server is busy, try again shortly.", retry_after=2)
