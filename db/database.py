"""The API's log-in to Postgres: it opens connections and hands out sessions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar, cast

import asyncpg
import msgspec
import structlog

from db.changes import Changes
from db.claims import Claims
from db.dsn import connect as connect_to
from db.dsn import parse as parse_dsn
from db.pipeline import MAX_STATEMENTS, Pipeline, WiredLoop
from db.pool import ApiConnection, Pool
from db.replicas import Replica, Replicas, SharedWrites
from db.session import Session
from domain.errors import WriteConflict
from settings import ClaimsMode, Settings

log = structlog.get_logger("aclue.db")

CONNECT_SECONDS = 5.0  # to open a connection: a network that swallows packets would fill the pool with attempts
MAX_CONFLICTS = 3
Result = TypeVar("Result")


class Database:
    """The API's log-in: hands out sessions, each one transaction under one person's claims."""

    def __init__(self, dsn: str, pool: Pool, settings: Settings, changes: Changes, replicas: Replicas) -> None:
        self.dsn = dsn
        self.pool = pool
        self.changes = changes
        self.replicas = replicas
        self._settings = settings

    @classmethod
    async def connect(
        cls, dsn: str, settings: Settings, changes: Changes | None = None, last_writes: SharedWrites | None = None
    ) -> Database:
        """Opens the first connection. Raises OSError or asyncpg.PostgresError if the server is unavailable. Replicas
        (READ_DATABASE_URLS) are used once `replicas.start()` was called and they answer. `changes`: those of another
        log-in to the same database. `last_writes` are shared with other processes."""
        pool = Pool(partial(_connect, dsn, settings), settings)
        pool.release(await pool.open())
        pool.start()
        for warning in {parse_dsn(url).warning for url in (dsn, settings.listen_database_url)} - {None}:
            log.warning(warning)
        replicas = Replicas(
            partial(_connect_probe, dsn),
            [_replica(f"replica {number + 1}", url, settings) for number, url in enumerate(settings.read_urls)],
            settings.read_max_lag,
            last_writes,
        )
        return cls(dsn, pool, settings, changes or Changes(settings.listen_database_url or dsn), replicas)

    async def close(self) -> None:
        await self.replicas.stop()
        await self.pool.close()

    def session(
        self, claims: Claims, *, read_only: bool, may_lag: bool = False, statement_timeout_ms: int | None = None
    ) -> Session:
        """One transaction, which its first statement begins. Close it (`async with`). The statement timeout defaults to
        DATABASE_STATEMENT_TIMEOUT. One that only reads and `may_lag` is read from a replica, if there is one that has
        all that the person wrote."""
        settings = self._settings
        return Session(
            self.pool,
            claims,
            read_only=read_only,
            statement_timeout_ms=statement_timeout_ms or settings.database_statement_timeout,
            slow_ms=settings.database_slow_query_threshold,
            changes=self.changes,
            replicas=self.replicas if may_lag or not read_only else None,
        )

    async def transaction(
        self, claims: Claims, work: Callable[[Session], Awaitable[Result]], *, statement_timeout_ms: int | None = None
    ) -> Result:
        """What `work` returns, in a writing session. It is repeated where Postgres rolled it back because of another
        transaction, such as a deadlock, and must not keep anything of an attempt. Raises WriteConflict the third
        time."""
        attempt = 1
        while True:
            try:
                async with self.session(claims, read_only=False, statement_timeout_ms=statement_timeout_ms) as session:
                    return await work(session)
            except WriteConflict:
                if attempt == MAX_CONFLICTS:
                    raise
                log.info("a transaction is repeated: it met another one", attempt=attempt)
                attempt += 1


def _replica(name: str, url: str, settings: Settings) -> Replica:
    impatient = msgspec.structs.replace(settings, database_retries=0)  # the primary can be asked instead
    return Replica(name, Pool(partial(_connect, url, impatient), impatient), partial(_connect_probe, url))


async def _connect_probe(dsn: str) -> asyncpg.Connection[Any]:
    connection: asyncpg.Connection[Any] = await connect_to(
        dsn, statement_cache_size=0, seconds=CONNECT_SECONDS, application_name="aclue replication"
    )
    return connection


async def _connect(dsn: str, settings: Settings) -> ApiConnection:
    server_settings = {"timezone": "UTC"}
    if settings.prepared_statements:  # poolers without prepared statements refuse other parameters too
        # Postgres stops the statement of a terminated connection within this time, instead of completing it.
        server_settings["client_connection_check_interval"] = "500ms"
    is_pipelined = settings.claims_mode is ClaimsMode.PIPELINED
    connection: ApiConnection = await connect_to(
        dsn,
        loop=cast("asyncio.AbstractEventLoop", WiredLoop()) if is_pipelined else None,
        statement_cache_size=MAX_STATEMENTS if settings.prepared_statements else 0,
        max_cached_statement_lifetime=0,
        connection_class=ApiConnection,
        settings=server_settings,
        seconds=min(CONNECT_SECONDS, settings.database_pool_timeout),
    )
    if is_pipelined:
        try:
            pipeline = Pipeline(connection)
            await pipeline.open()
        except BaseException:
            connection.terminate()
            raise
        connection.pipeline = pipeline
    connection.opened_at = connection.used_at = time.monotonic()
    return connection
