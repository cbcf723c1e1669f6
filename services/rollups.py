"""Keeps the rollups of private.rollups, and the visits of session_analytics, up to date with the rows they count."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date

import structlog

from db.claims import SERVICE
from db.database import Database
from domain.errors import WriteConflict
from services.services import Services

log = structlog.get_logger("aclue.rollups")

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
    """Computes the days that have changed, each once and in a transaction of its own, and then the months that are
    over. Ends early where another process is at it. A day that changes all the time, such as today, keeps no other from
    its turn, and neither does one that fails: that one waits for an hour, and the first failure is raised in the
    end."""
    failure: Exception | None = None
    due: date | None = None
    while True:
        async with database.session(SERVICE, read_only=True) as session:
            due = await session.fetchval("rollups.due", before=due)
        if due is None:
            break
        try:
            async with database.session(SERVICE, read_only=False, statement_timeout_ms=DAY_TIMEOUT_MS) as session:
                day: date | None = await session.fetchval("rollups.refresh", day=due)
        except WriteConflict:  # with a request of that moment
            raise
        except Exception as error:
            log.exception("a day of the figures failed; it is tried again in an hour", day=f"{due}")
            async with database.session(SERVICE, read_only=False) as session:
                await session.fetch("rollups.postpone", day=due)
            failure = failure or error
            continue
        if day is None:
            break
        yield day
    while True:
        async with database.session(SERVICE, read_only=False, statement_timeout_ms=DAY_TIMEOUT_MS) as session:
            month: date | None = await session.fetchval("rollups.refresh_month")
        if month is None:
            break
        yield month
    if failure is not None:
        raise failure
