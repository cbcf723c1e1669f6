"""Creates and drops the databases of a server, over one connection that is kept."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import asyncpg


class Databases:
    """A superuser's connection on an event loop of its own, in a thread: each test has another loop, and would have to
    log in for its database."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: asyncpg.Connection[Any] | None = None
        self._lock = asyncio.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    async def execute(self, sql: str) -> None:
        """Runs a statement outside of a transaction."""
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._execute(sql), self._loop))

    async def _execute(self, sql: str) -> None:
        async with self._lock:
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(self._dsn)
            await self._connection.execute(sql)

    def close(self) -> None:
        if self._connection is not None:
            asyncio.run_coroutine_threadsafe(self._connection.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
