"""Records that backups were made or failed, for metrics and migrations: docs/backup.md."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import asyncpg

from db.queries import QUERIES


async def age(owner: asyncpg.Connection[Any]) -> float | None:
    """Seconds since the last successful backup; None if none is known."""
    if not await owner.fetchval(QUERIES["backup_runs.is_known"].sql):
        return None
    newest: datetime | None = await owner.fetchval(QUERIES["backup_runs.newest"].sql)
    return None if newest is None else (datetime.now(UTC) - newest).total_seconds()


async def record(owner: asyncpg.Connection[Any], kind: str, failure: str | None = None) -> None:
    """Notes a run; with a failure, that it left no backup. A database of an earlier release takes no note."""
    if await owner.fetchval(QUERIES["backup_runs.is_known"].sql):
        await owner.execute(QUERIES["backup_runs.record"].sql, kind, failure or None)
