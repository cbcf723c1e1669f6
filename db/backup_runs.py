"""Records that backups were made or failed, so that metrics can tell: docs/backup.md."""

from __future__ import annotations

from typing import Any

import asyncpg

from db.queries import QUERIES


async def record(owner: asyncpg.Connection[Any], kind: str, failure: str | None = None) -> None:
    """Notes a run; with a failure, that it left no backup. A database of an earlier release takes no note."""
    if await owner.fetchval(QUERIES["backup_runs.is_known"].sql):
        await owner.execute(QUERIES["backup_runs.record"].sql, kind, failure or None)
