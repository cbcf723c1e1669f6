"""Keeps the rollups of private.rollups, and the visits of session_analytics, up to date with the rows they count."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date

from db.claims import SERVICE
from db.database import Database
from services.services import Services

DAY_TIMEOUT_MS = 10 * 60 * 1000
DAYS_PER_ROUND = 100  # so that a long rebuild is seen in the system log


async def refresh(services: Services) -> int:
    """Computes the days that have changed, the newest first, a bounded number per round. Returns how many."""
    count = 0
    async for _ in days(services.database):
        count += 1
        if count == DAYS_PER_ROUND:
            break
    return count


async def days(database: Database) -> AsyncIterator[date]:
    """Computes the days that have changed, each in a transaction of its own, until none is left or another process is
    at it."""
    while True:
        async with database.session(SERVICE, read_only=False, statement_timeout_ms=DAY_TIMEOUT_MS) as session:
            day: date | None = await session.fetchval("rollups.refresh")
        if day is None:
            return
        yield day
