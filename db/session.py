"""A session is one transaction under the claims of one person, on a connection that it alone holds.

A query's session is REPEATABLE READ READ ONLY, so that all its fields see one snapshot. Each root field of a mutation
has a read-write session, which commits after the payload was read and before the response is sent. The last statement
of a query ends its transaction in the same round trip: `run_last`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import asyncpg
import structlog

from db import claims as claims_module
from db import metrics, tracing
from db.claims import Claims, service_for
from db.failures import LOST, OF_A_STANDBY, UNUSABLE, closed, is_lost, lost, not_writable, translated, unusable
from db.loaders import Loaders, consume_exception
from db.pipeline import BEGIN, END, Pipeline, applied, begin_prefix, cancellation_ended, single_statement_prefix
from db.queries import Composed, statement_of
from db.routes import Route
from db.usage import METER, USAGE

if TYPE_CHECKING:
    from db.changes import Changes
    from db.pool import ApiConnection, Pool
    from db.replicas import Replicas

log = structlog.get_logger("aclue.db")

COMMIT_TIMEOUT_SECONDS = 15  # after which a connection counts as lost
CANCEL_TIMEOUT_SECONDS = 1  # after which a connection is closed to cancel its statement


class Session:
    """The statements of one transaction, in the order of the calls. `route`: where they run."""

    def __init__(
        self,
        pool: Pool,
        claims: Claims,
        *,
        read_only: bool,
        statement_timeout_ms: int,
        slow_ms: int,
        changes: Changes,
        replicas: Replicas | None = None,
    ) -> None:
        self.claims = claims
        self.read_only = read_only
        self.loaders = Loaders(self)
        self.route = Route(pool, replicas if read_only else None)
        self._statement_timeout_ms = statement_timeout_ms
        self._slow_ms = slow_ms
        self._changes = changes
        self._replicas = replicas
        self._connection: ApiConnection | None = None
        self._lock = asyncio.Lock()
        self._statement_at_work: asyncio.Future[Any] | None = None
        self._after_commit: list[Callable[[], None]] = []
        self.usage = USAGE.get()
        self._meter = METER.get()
        self.failure: Exception | None = None
        self.stored_part = 1.0  # the share of a mutation's input that was new; repeated events are not
        self._begun = False
        self._has_read = False  # something of a snapshot, which another connection would not have
        self._switched = False  # the next statement has to set the claims first
        self._failed = False
        self._broken = False
        self._cut_off = False  # a statement was cancelled: Postgres may still be working on it
        self._closed = False
        self._ending: asyncio.Task[None] | None = None

    async def fetch(self, query: str | Composed, **values: Any) -> list[asyncpg.Record]:
        """Rows of a named query (`noun.block`) or of a composed one."""
        sql, arguments = statement_of(query, values)
        return await self.run(sql, arguments)

    async def fetchrow(self, query: str | Composed, **values: Any) -> asyncpg.Record | None:
        rows = await self.fetch(query, **values)
        return rows[0] if rows else None

    async def fetchval(self, query: str | Composed, **values: Any) -> Any:
        row = await self.fetchrow(query, **values)
        return row[0] if row else None

    async def run(self, sql: str, arguments: Sequence[Any]) -> list[asyncpg.Record]:
        """Rows of one statement. Raises an AclueError for errors that callers may see, else what asyncpg raised; after
        a failure, every later statement of the session fails with the same error.

        A field may be cancelled while its statement runs, because an error in a sibling made the parent null. Other
        fields still need the connection, so the statement continues, unless the session is rolled back and closed."""
        await self._lock.acquire()
        statement = asyncio.ensure_future(self._next(sql, arguments))
        statement.add_done_callback(lambda _: self._lock.release())
        statement.add_done_callback(consume_exception)
        self._statement_at_work = statement
        try:
            return await asyncio.shield(statement)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if statement.cancelled() and task is not None and not task.cancelling():
                raise closed() from None  # cancelled by `close`: without an error the caller would wait for ever
            raise

    async def _next(self, sql: str, arguments: Sequence[Any]) -> list[asyncpg.Record]:
        self._require_open()
        return await tracing.statement(sql, self._watched(sql, arguments))

    async def run_last(self, sql: str, arguments: Sequence[Any]) -> list[asyncpg.Record]:
        """Rows of the last statement of a read-only session, which it closes: with CLAIMS_MODE=pipelined the
        transaction ends in the same round trip, and if this is also the first statement, there is no transaction block.
        Raises what `run` raises, and RuntimeError for a read-write session."""
        async with self._lock:
            if not self.read_only:
                raise RuntimeError("the last statement of a session that writes is its commit")
            self._require_open()
            self._closed = True
            try:
                return await tracing.statement(sql, self._watched(sql, arguments, is_last=True))
            finally:
                await self._end()

    async def _watched(self, sql: str, arguments: Sequence[Any], *, is_last: bool = False) -> list[asyncpg.Record]:
        """Runs a statement. A read whose connection is lost is repeated, unless something else was read before. A write
        never is: its commit may have arrived."""
        repeats = 0
        while True:
            connection = self._connection or await self._take()
            try:
                rows = await self._attempt(connection, sql, arguments, is_last=is_last)
            except LOST as error:
                self._break(connection)
                may_repeat = self.read_only and not self._has_read and self.failure is None and is_lost(error)
                if not may_repeat or (repeats == self.route.pool.retries and not self.route.is_replica):
                    self.failure = lost() if is_lost(error) else error
                    raise self.failure from error
                repeats += 1
                self._connection = None
                self.route.pool.release(connection, self)
                self.route.leave_replica()
                self._begun = self._switched = self._failed = self._broken = False
            else:
                self._has_read = True
                return rows

    async def _attempt(
        self, connection: ApiConnection, sql: str, arguments: Sequence[Any], *, is_last: bool
    ) -> list[asyncpg.Record]:
        watch = self.route.pool.lag.watch()
        try:
            if connection.pipeline is None:
                rows = await self._plain(connection, sql, arguments)
            else:
                rows = await self._pipelined(connection, connection.pipeline, sql, arguments, is_last=is_last)
        except LOST:
            raise
        except asyncpg.PostgresError as error:
            metrics.DATABASE_ERRORS.labels(error.sqlstate or "").inc()
            if self.route.is_replica and isinstance(error, OF_A_STANDBY):
                raise ConnectionError("the replica cannot answer now") from error
            is_standby = not self.read_only and isinstance(error, asyncpg.ReadOnlySQLTransactionError)
            is_old = time.monotonic() - connection.opened_at > 1  # else another one would be no better
            if (is_standby and is_old) or isinstance(error, asyncpg.InvalidCachedStatementError):
                self.route.pool.renew()
            self._failed = True
            self.failure = not_writable() if is_standby else translated(error)
            raise self.failure from error
        except asyncio.CancelledError:
            self._failed = self._cut_off = True
            connection.cut_offs += 1
            if self._meter is not None:
                self._meter.cut_off += 1
            raise
        except BaseException as error:
            if isinstance(error, asyncpg.OutdatedSchemaCacheError):
                self.route.pool.renew()
            self._break(connection)
            raise
        finally:
            elapsed, own = watch.read()
            metrics.STATEMENTS.observe(elapsed)
            if self._meter is not None:
                self._meter.add(own)
        elapsed_ms = elapsed * 1000
        if self.usage is not None:
            self.usage.statements += 1
            self.usage.rows += len(rows)
            self.usage.seconds += elapsed_ms / 1000
        if elapsed_ms > self._slow_ms:
            log.warning("slow query", milliseconds=round(elapsed_ms), sql=sql[:500])
        return rows

    async def _plain(self, connection: ApiConnection, sql: str, arguments: Sequence[Any]) -> list[asyncpg.Record]:
        if not self._begun:
            await self._begin(connection)
        elif self._switched:
            await self._apply(connection)
        # Plans include row level security and so depend on the role: each role has its own prepared statements.
        rows: list[asyncpg.Record] = await connection.fetch(f"/*{self.claims.role}*/ {sql}", *arguments)
        return rows

    async def _pipelined(
        self, connection: ApiConnection, pipeline: Pipeline, sql: str, arguments: Sequence[Any], *, is_last: bool
    ) -> list[asyncpg.Record]:
        statement = pipeline.known(self.claims.role, sql)
        before = after = b""
        if not self._begun and statement is None:  # it can be prepared only once the role is set
            await self._begin(connection)
        elif not self._begun and is_last:
            before = single_statement_prefix(self.claims, self._statement_timeout_ms)
        elif not self._begun:
            self._begun = True
            before = begin_prefix(self.claims, self._statement_timeout_ms, read_only=self.read_only)
        elif self._switched and statement is None:
            await self._apply(connection)
        elif self._switched:
            self._switched = False
            before = applied(self.claims, self._statement_timeout_ms)
        if statement is None:
            metrics.STATEMENT_MISS.inc()
            statement = await pipeline.prepare(self.claims.role, sql)
        else:
            metrics.STATEMENT_HIT.inc()
            if self.usage is not None:
                self.usage.prepared += 1
        if is_last and self._begun:
            after = END
        rows = await pipeline.fetch(statement, arguments, before, after)
        if after:
            self._begun = False
        return rows

    def _require_open(self) -> None:
        if self.failure is not None:
            raise self.failure
        if self._closed and self._connection is None:
            raise closed()

    async def _take(self) -> ApiConnection:
        try:
            self._connection = await self.route.acquire(self, self.claims)
        except UNUSABLE as error:
            raise unusable(error) from error
        return self._connection

    async def _begin(self, connection: ApiConnection) -> None:
        self._begun = True
        await connection.execute(BEGIN[self.read_only])
        await self._apply(connection)

    async def _apply(self, connection: ApiConnection) -> None:
        self._switched = False
        await claims_module.apply(connection, self.claims, self._statement_timeout_ms)

    async def switch_claims(self, claims: Claims) -> None:
        """Runs the rest of the transaction under these claims, which are set with the next statement."""
        async with self._lock:
            if self.failure is not None:
                raise self.failure
            self._switched = self._begun
            self.claims = claims

    @contextlib.asynccontextmanager
    async def as_service(self) -> AsyncIterator[None]:
        """A block in which statements run as service_role, while auth.uid() stays the caller: for what the server has
        computed or verified, and people may not write directly."""
        caller = self.claims
        if caller.subject is None:
            raise RuntimeError("service_role works on behalf of a person")
        await self.switch_claims(service_for(caller.subject, caller))
        try:
            yield
        finally:
            if self.failure is None:
                await self.switch_claims(caller)
            else:  # no statement can run any more
                self.claims = caller

    def _break(self, connection: ApiConnection) -> None:
        """The connection is in an unknown state, and must not be reused."""
        self._failed = self._broken = True
        if self._meter is not None:
            self._meter.closed += 1
        connection.terminate()
        self.route.pool.distrust()

    def cancel(self) -> None:
        """Cancels the running statement and fails all that follow, as the client has disconnected; `close` then rolls
        back. No effect once `close` has begun: a commit that has started is completed."""
        if not self._closed:
            self.mark_rollback()
            self._stop()

    def _stop(self) -> None:
        if self.failure is None:
            self.failure = closed()
        if self._statement_at_work is not None:
            self._statement_at_work.cancel()  # its result is no longer needed

    def mark_rollback(self) -> None:
        """Makes `close` roll back, although no statement has failed."""
        self._failed = True

    def after_commit(self, do: Callable[[], None]) -> None:
        """Calls this after a commit; never after a rollback."""
        self._after_commit.append(do)

    def note_change(self, topic: str, owner: str) -> None:
        """Notifies all processes after the commit: see db/changes.py."""
        self.after_commit(lambda: self._changes.note(topic, owner))

    async def close(self) -> None:
        """Commits, or rolls back after a failure. Raises WriteConflict if the commit fails, Overloaded if the
        connection was lost before it. The connection is always returned to the pool, even if cancelled a second
        time."""
        self._closed = True
        if self._failed:
            self._stop()
        is_ending = self._ending is not None and not self._ending.done()
        if self._connection is not None or is_ending or self._lock.locked():
            closing = asyncio.ensure_future(self._close())
            closing.add_done_callback(consume_exception)
            await asyncio.shield(closing)

    async def _close(self) -> None:
        async with self._lock:
            await self._end()

    async def _end(self) -> None:
        """Ends the transaction and returns the connection, once: a second call waits for the first. The session drops
        the connection before the first await, so that nothing can use it again. The caller holds the lock."""
        if self._ending is not None:
            await asyncio.wait([self._ending])
            return
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._broken or not (self._begun or self._cut_off):
            self.route.pool.release(connection, self)
            return
        self._ending = asyncio.ensure_future(self._finish(connection))
        self._ending.add_done_callback(consume_exception)  # the awaiting task may be cancelled
        await asyncio.shield(self._ending)

    async def _finish(self, connection: ApiConnection) -> None:
        is_commit = not self._failed
        try:
            if self._cut_off:
                await self._await_cancellation(connection)
            if not self._cut_off or connection.is_in_transaction():
                await connection.execute("commit" if is_commit else "rollback", timeout=COMMIT_TIMEOUT_SECONDS)
        except (*LOST, asyncpg.PostgresError) as error:
            self._break(connection)
            if is_commit and isinstance(error, asyncpg.PostgresError) and not is_lost(error):
                raise translated(error) from error
            if is_commit:
                raise lost() from error
            return
        except BaseException:
            self._break(connection)
            raise
        finally:
            self.route.pool.release(connection, self)
        if is_commit:
            if self._replicas is not None and not self.read_only:
                await self._replicas.note_write(self.claims)
            for do in self._after_commit:
                do()

    async def _await_cancellation(self, connection: ApiConnection) -> None:
        """Waits until Postgres has ended the statement that was cut off, so that the connection can be used again:
        opening another and preparing its statements costs more than most requests. The caller is charged for this time,
        too. Raises TimeoutError."""
        watch = self.route.pool.lag.watch()
        try:
            await cancellation_ended(connection, CANCEL_TIMEOUT_SECONDS)
        finally:
            if self._meter is not None:
                self._meter.add(watch.read()[1])

    async def __aenter__(self) -> Session:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.mark_rollback()
        await self.close()
