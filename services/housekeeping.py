"""Background maintenance: creates partitions ahead of time, purges expired rows, rebuilds the model and personality
profiles."""

from __future__ import annotations

import structlog

from db.changes import EVERYBODY
from db.claims import SERVICE
from services import outbox, personality
from services.services import Services

log = structlog.get_logger("aclue.housekeeping")

MODEL_TIMEOUT_MS = 10 * 60 * 1000
PERSONALITIES_PER_ROUND = 10_000


async def ensure_partitions(services: Services) -> int:
    """Creates partitions for the coming months; gives up at once if the tables are locked. Returns how many."""
    async with services.database.session(SERVICE, read_only=False) as session:
        made: int = await session.fetchval("product_views.ensure_partitions")
        return made


async def check_default_partitions(services: Services) -> int:
    """Logs an error for rows in a default partition: the partition of their month cannot be created until they are
    moved. Returns the number of tables."""
    async with services.database.session(SERVICE, read_only=False) as session:
        filled = [r for r in await session.fetch("product_views.default_partition_rows") if r["rows"]]
    for row in filled:
        log.error("partition default not empty", partition=row["partition"], rows=row["rows"])
        services.system_log.note(
            "error", "housekeeping", "partition default not empty", partition=row["partition"], rows=row["rows"]
        )
    return len(filled)


async def purge_keys(services: Services) -> int:
    """Deletes idempotency keys older than a day. Returns how many."""
    async with services.database.session(SERVICE, read_only=False) as session:
        gone: int = await session.fetchval("idempotency_keys.purge")
        return gone


async def purge_mails(services: Services) -> int:
    """Deletes expired one-time tokens, and mails older than a month. Returns the number of mails."""
    async with services.database.session(SERVICE, read_only=False) as session:
        gone: int = await session.fetchval("outbox.purge", keep_seconds=outbox.KEEP_SECONDS)
        return gone


async def apply_sales(services: Services) -> int:
    """Starts and ends sales. Returns how many prices changed."""
    async with services.database.session(SERVICE, read_only=False) as session:
        changed: int = await session.fetchval("products.apply_sales")
        if changed:
            session.note_change("feeds", EVERYBODY)
        return changed


async def update_personalities(services: Services) -> int:
    """Rebuilds personality profiles that are due, a bounded number per round. Returns how many."""
    return await personality.update_from_behaviour(services.database, limit=PERSONALITIES_PER_ROUND)


async def refresh_model(services: Services) -> int:
    """Builds a new model if something has changed since the last one, unless another worker is building one. Returns 0
    or 1."""
    interval = float(services.settings.model_refresh_interval)
    async with services.database.session(SERVICE, read_only=False, statement_timeout_ms=MODEL_TIMEOUT_MS) as session:
        if await session.fetchval("recommendation_models.try_lock") and await session.fetchval(
            "recommendation_models.needs_refresh", seconds=interval
        ):
            await session.fetch("recommendation_models.refresh_model")
            session.note_change("feeds", EVERYBODY)
            return 1
    return 0
