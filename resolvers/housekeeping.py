"""Work that nobody asks for: partitions ahead of time, expired keys, a new model when something changed."""

from __future__ import annotations

from db.claims import SERVICE
from resolvers.services import Services

MODEL_TIMEOUT_MS = 10 * 60 * 1000


async def ensure_partitions(services: Services) -> None:
    """Makes the partitions of the months to come; gives up at once where somebody holds the tables."""
    async with services.database.session(SERVICE, read_only=False) as session:
        await session.fetch("product_views.ensure_partitions")


async def purge_keys(services: Services) -> None:
    """Forgets idempotency keys older than a day."""
    async with services.database.session(SERVICE, read_only=False) as session:
        await session.fetch("idempotency_keys.purge")


async def refresh_model(services: Services) -> None:
    """Builds a new model when something changed since the newest one, unless another worker is at it."""
    interval = float(services.settings.model_refresh_interval)
    async with services.database.session(SERVICE, read_only=False, statement_timeout_ms=MODEL_TIMEOUT_MS) as session:
        if await session.fetchval("recommendations.try_lock") and await session.fetchval(
            "recommendations.needs_refresh", seconds=interval
        ):
            await session.fetch("recommendations.refresh_model")
