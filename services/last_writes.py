"""When people wrote last, in Redis: for reads from replicas in other processes than the one that wrote."""

from __future__ import annotations

import asyncio
import math

import structlog

from db.replicas import CLOCK_SKEW_SECONDS
from services import redis_pools
from settings import Settings

log = structlog.get_logger("aclue.services")


class LastWrites:
    """Implements db.replicas.SharedWrites. A time is kept for as long as a replica that is used may lack the write."""

    def __init__(self, url: str, max_lag: float) -> None:
        from redis.asyncio import Redis

        self._pool = redis_pools.opened(url)
        self._redis = Redis(connection_pool=self._pool)
        self._keep_ms = math.ceil(1000 * (max_lag + 2 * CLOCK_SKEW_SECONDS))

    @classmethod
    def of(cls, settings: Settings) -> LastWrites | None:
        """None where there are no replicas, or no Redis."""
        if not settings.read_urls or not settings.redis_url:
            return None
        return cls(settings.redis_url, settings.read_max_lag)

    async def note(self, person: str, at: float) -> None:
        """Keeps the time of a write. If Redis fails, other processes may not show it at first."""
        try:
            async with asyncio.timeout(redis_pools.TIMEOUT_SECONDS):
                await self._redis.set(_key(person), repr(at), px=self._keep_ms)
        except Exception as error:
            log.warning("Redis failed: a write is not known to other processes", error=f"{type(error).__name__}")

    async def last(self, person: str) -> float:
        """The time of the last write; minus infinity if there was none lately, infinity if Redis does not say."""
        try:
            async with asyncio.timeout(redis_pools.TIMEOUT_SECONDS):
                at = await self._redis.get(_key(person))
            return -math.inf if at is None else float(at)
        except Exception:
            return math.inf

    async def close(self) -> None:
        await self._pool.aclose()


def _key(person: str) -> str:
    return f"aclue:wrote:{person}"
