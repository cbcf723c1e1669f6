"""Public answers of all processes, in Redis: services/public_answers.py says when one may be used."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from typing import Any

import structlog

from db import metrics
from services import redis_pools
from settings import Settings

log = structlog.get_logger("aclue.services")

TIMEOUT_SECONDS = 0.1  # what Redis spares takes little longer
PAUSE_SECONDS = 5  # without Redis after it failed
MAX_STORING = 3  # at the same time, so that asking finds a connection
MAX_WAITING = 64  # answers to be stored; further ones are not
_MAC_BYTES = 16


class SharedAnswers:
    """Keys and answers are signed with a key of the deployment, so that another one on the same Redis, or somebody who
    may write to it, cannot change what is answered here."""

    def __init__(self, settings: Settings, key: bytes) -> None:
        from redis.asyncio import Redis

        self._pool = redis_pools.opened(settings.redis_url)
        self._redis: Any = Redis(connection_pool=self._pool)
        self._key = hashlib.blake2b(key, person=b"public answers").digest()
        self._used_from = float("-inf")
        self._asking = 0
        self._turns = asyncio.Semaphore(MAX_STORING)
        self._storing: set[asyncio.Task[None]] = set()

    @classmethod
    def of(cls, settings: Settings, key: bytes) -> SharedAnswers | None:
        """None without Redis, or without a cache."""
        return cls(settings, key) if settings.redis_url and settings.public_cache_bytes else None

    async def get(self, key: bytes) -> tuple[bytes, float] | None:
        """The answer of this key, and the seconds that it is good for; None if there is none, or Redis does not say."""
        if time.monotonic() < self._used_from or self._asking >= redis_pools.MAX_CONNECTIONS - MAX_STORING:
            return None
        name = self._name(key)
        self._asking += 1
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                stored, milliseconds = await self._redis.pipeline(transaction=False).get(name).pttl(name).execute()
        except Exception as error:
            self._failed(error)
            return None
        finally:
            self._asking -= 1
        data = stored[_MAC_BYTES:] if stored else b""
        if milliseconds <= 0 or not hmac.compare_digest(stored[:_MAC_BYTES], self._mac(name, data)):
            metrics.SHARED_ANSWER["miss"].inc()
            return None
        metrics.SHARED_ANSWER["hit"].inc()
        return data, milliseconds / 1000

    def put(self, key: bytes, data: bytes, seconds: int) -> None:
        """Stores an answer in the background."""
        if time.monotonic() < self._used_from or len(self._storing) >= MAX_WAITING:
            return
        task = asyncio.create_task(self._put(self._name(key), data, seconds))
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)

    async def _put(self, name: str, data: bytes, seconds: int) -> None:
        try:
            async with self._turns, asyncio.timeout(redis_pools.TIMEOUT_SECONDS):
                await self._redis.set(name, self._mac(name, data) + data, ex=seconds)
        except Exception as error:
            self._failed(error)

    async def close(self) -> None:
        """Stores nothing more, and closes the connections."""
        for task in list(self._storing):
            task.cancel()
        await asyncio.gather(*self._storing, return_exceptions=True)
        await self._pool.aclose()

    def _failed(self, error: Exception) -> None:
        metrics.SHARED_ANSWER["failed"].inc()
        if time.monotonic() >= self._used_from:
            log.warning("Redis failed: public answers are cached per process for now", error=type(error).__name__)
        self._used_from = time.monotonic() + PAUSE_SECONDS

    def _name(self, key: bytes) -> str:
        return f"aclue:answer:{hashlib.blake2b(key, key=self._key, digest_size=32).hexdigest()}"

    def _mac(self, name: str, data: bytes) -> bytes:
        mac = hashlib.blake2b(name.encode(), key=self._key, digest_size=_MAC_BYTES, person=b"answer")
        mac.update(data)
        return mac.digest()
