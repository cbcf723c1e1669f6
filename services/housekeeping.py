"""Work that nobody asks for: partitions ahead of time, expired keys, a new model when something changed,
personalities that follow the swipes."""

from __future__ import annotations

import structlog

from db.changes import EVERYBODY
from db.claims import SERVICE
from services import outbox, personality
from services.services import Services

log = structlog.get_logger("aclue.housekeeping")

MODEL_TIMEOUT_MS = 10 * 60 * 1000
PERSONALITIES_A_ROUND = 10_000


async def ensure_partitions(services: Services) -> int:
    """Makes the partitions of the months to come; gives up at once where somebody holds the tables. How many."""
    async with services.database.session(SERVICE, read_only=False) as session:
        made: int = await session.fetchval("product_views.ensure_partitions")
        return made


async def check_default_partitions(services: Services) -> int:
    """Raises the alarm when rows found no partition: that of their month cannot be made before they are moved. In how
    many tables."""
    async with services.database.session(SERVICE, read_only=False) as session:
        filled = [r for r in await session.fetch("product_views.default_partition_rows") if r["rows"]]
    for row in filled:
        log.error("partition default not empty", partition=row["partition"], rows=row["rows"])
        services.system_log.note(
            "error", "housekeeping", "partition default not empty", partition=row["partition"], rows=row["rows"]
        )
    return len(filled)


async def purge_keys(services: Services) -> int:
    """Forgets idempotency keys older than a day. How many."""
    async with services.database.session(SERVICE, read_only=False) as session:
        gone: int = await session.fetchval("idempotency_keys.purge")
        return gone


async def purge_mails(services: Services) -> int:
    """Forgets one-time tokens that have expired, and what became of mails of a month ago. How many mails."""
    async with services.database.session(SERVICE, read_only=False) as session:
        gone: int = await session.fetchval("outbox.purge", keep_seconds=outbox.KEEP)
        return gone


async def update_personalities(services: Services) -> int:
    """Lets the personalities follow what was swiped; the rest waits for the next round. How many people it was."""
    return await personality.update_from_behaviour(services.database, most=PERSONALITIES_A_ROUND)


async def refresh_model(services: Services) -> int:
    """Builds a new model when something changed since the newest one, unless another worker is at it. How many: 0 or
    1."""
    interval = float(services.settings.model_refresh_interval)
    async with services.database.session(SERVICE, read_only=False, statement_timeout_ms=MODEL_TIMEOUT_MS) as session:
        if await session.fetchval("recommendations.try_lock") and await session.fetchval(
            "recommendations.needs_refresh", seconds=interval
        ):
            await session.fetch("recommendations.refresh_model")
            session.note_change("feeds", EVERYBODY)
            return 1
    return 0
