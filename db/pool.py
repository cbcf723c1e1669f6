"""The connection pool: bounded waiting, no reset round trip, connections recycled by age."""

from __future__ import annotations

import asyncio
import time
from typing import Any, TypeAlias

import asyncpg

from db.claims import Claims
from db.session import Session, terminate
from domain.errors import Overloaded
from settings import Settings

PING_AFTER_IDLE = 30.0

PooledConnection: TypeAlias = Any  # asyncpg's proxy, of which the stubs know neither our class nor its attributes


class ApiConnection(asyncpg.Connection):
    """Claims are local to their transaction, so there is nothing to reset when a connection goes back."""

    opened_at: float = 0.0
    used_at: float = 0.0

    def get_reset_query(self) -> str:
        return ""


class Database:
    """The API's log-in: hands out sessions, each one transaction under one person's claims."""

    def __init__(self, pool: asyncpg.Pool[Any], settings: Settings) -> None:
        self._pool = pool
        self._settings = settings

    @classmethod
    async def connect(cls, dsn: str, settings: Settings) -> Database:
        """Opens the pool. Raises OSError or asyncpg.PostgresError when the server cannot be used."""
        create_pool: Any = asyncpg.create_pool  # the stubs want init to take any connection; ours takes our class
        pool: asyncpg.Pool[Any] = await create_pool(
            dsn,
            min_size=1,
            max_size=settings.database_pool_size + settings.database_max_overflow,
            max_inactive_connection_lifetime=settings.database_pool_recycle,
            statement_cache_size=512,
            max_cached_statement_lifetime=0,
            connection_class=ApiConnection,
            init=_note_opening,
            server_settings={
                "application_name": "aclue",
                "timezone": "UTC",
                # A terminated connection's statement ends within this time instead of running on.
                "client_connection_check_interval": "500ms",
            },
            timeout=settings.database_pool_timeout,
        )
        return cls(pool, settings)

    async def close(self) -> None:
        try:
            await asyncio.wait_for(self._pool.close(), timeout=5)
        except TimeoutError:
            self._pool.terminate()

    def session(self, claims: Claims, *, read_only: bool, statement_timeout_ms: int | None = None) -> Session:
        """One transaction, begun by its first statement. Close it (`async with`). A statement may take
        DATABASE_STATEMENT_TIMEOUT unless said otherwise."""
        timeout = statement_timeout_ms or self._settings.database_statement_timeout
        return Session(
            self,
            claims,
            read_only=read_only,
            statement_timeout_ms=timeout,
            slow_ms=self._settings.database_slow_query_threshold,
        )

    async def acquire(self) -> PooledConnection:
        """A healthy connection. Raises Overloaded when none is free within DATABASE_POOL_TIMEOUT."""
        deadline = time.monotonic() + self._settings.database_pool_timeout
        while True:
            try:
                connection: PooledConnection = await self._pool.acquire(timeout=max(deadline - time.monotonic(), 0.001))
            except TimeoutError:
                raise Overloaded("The server is busy, try again shortly.", retry_after=2) from None
            idle = time.monotonic() - connection._con.used_at  # noqa: SLF001
            if not self._settings.database_pool_pre_ping or idle < PING_AFTER_IDLE:
                return connection
            try:
                await connection.execute("select 1")
                return connection
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                terminate(connection)
                await self._pool.release(connection)
            except BaseException:  # cancelled meanwhile
                terminate(connection)
                await self._pool.release(connection)
                raise

    async def release(self, connection: PooledConnection) -> None:
        """Takes a connection back; a terminated one, or one past DATABASE_POOL_RECYCLE, is replaced by a new one."""
        raw: ApiConnection | None = connection._con  # noqa: SLF001  None once terminated
        if raw is not None:
            raw.used_at = time.monotonic()
            if raw.used_at - raw.opened_at > self._settings.database_pool_recycle:
                terminate(connection)
        await self._pool.release(connection)


async def _note_opening(connection: ApiConnection) -> None:
    connection.opened_at = connection.used_at = time.monotonic()
