"""The system log: operational events, stored in the database for administrators.

Adding an entry never blocks and never fails: entries go to a bounded queue, from which one task writes them. Entries
that do not fit are dropped, counted, and reported later; those that cannot be written are on stderr already.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from db.claims import SERVICE
from db.session import Session

if TYPE_CHECKING:
    from db.database import Database

log = structlog.get_logger("aclue.system_logs")

MAX_WAITING_ENTRIES = 1000
MAX_BATCH = 200
SHUTDOWN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Entry:
    level: str
    component: str
    message: str
    context: dict[str, Any]
    request_id: str | None
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))


class SystemLog:
    """The queue, and the task that drains it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[Entry] = deque()
        self._dropped = 0
        self._has_some = asyncio.Event()
        self._writing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._is_stopping = False

    def note(
        self, level: str, component: str, message: str, *, request_id: str | None = None, **context: str | int | None
    ) -> None:
        """Queues an entry. It must hold no personal data: types and counts, no values."""
        if len(self._waiting) >= MAX_WAITING_ENTRIES:
            self._dropped += 1
            return
        self._waiting.append(Entry(level, component[:100], message[:2000], context, request_id))
        self._has_some.set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._write_for_ever())

    async def stop(self) -> None:
        """Writes what is left, within SHUTDOWN_SECONDS."""
        if self._task is None:
            return
        self._is_stopping = True
        self._has_some.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._task, SHUTDOWN_SECONDS)

    async def _write_for_ever(self) -> None:
        while not self._is_stopping:
            await self._has_some.wait()
            await self.flush()
        await self.flush()

    async def flush(self) -> None:
        """Writes what is queued, after any write in progress; a batch that cannot be written is dropped."""
        async with self._writing:
            await self._write_waiting()

    async def _write_waiting(self) -> None:
        self._has_some.clear()
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]
            dropped, self._dropped = self._dropped, 0
            if dropped:
                batch.append(Entry("warning", "system_logs", "entries were dropped", {"count": dropped}, None))
            try:
                async with self._database.session(SERVICE, read_only=False) as session:
                    await write(session, batch)
            except Exception as error:
                log.warning("system logs not written", count=len(batch), exception=type(error).__name__)


async def write(session: Session, entries: list[Entry]) -> None:
    """Stores entries; the session is service_role's."""
    await session.fetch(
        "system_logs.write",
        levels=[entry.level for entry in entries],
        components=[entry.component for entry in entries],
        messages=[entry.message for entry in entries],
        contexts=[msgspec.json.encode(entry.context).decode() for entry in entries],
        request_ids=[entry.request_id for entry in entries],
        created_ats=[entry.created_at for entry in entries],
    )
