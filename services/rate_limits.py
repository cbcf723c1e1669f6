"""Rate limits per person and per network address: token buckets, charged with the cost of requests.

A bucket holds a minute's worth of cost and refills continuously. Buckets are per process, or shared through Redis; if
Redis fails, each process falls back to its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import structlog

from db import metrics
from db.claims import Claims
from db.usage import METER, Meter
from domain.errors import RateLimited
from domain.networks import networks
from services import redis_pools
from settings import Settings

log = structlog.get_logger("aclue.rate_limits")

PERIOD_SECONDS = 60  # in which an empty bucket refills
CACHE_ADDRESSES = 10_000
MAX_BUCKETS = 100_000  # per process; the least recently used are evicted, and count as full
REDIS_PAUSE_SECONDS = 5  # without Redis after it failed

# The price of a request is estimated before it runs; its time in Postgres is known afterwards. One value: 20 us.
VALUES_PER_SECOND = 50_000
FREE_SECONDS = 0.001  # the price covers requests that take no longer
# What shorter requests take beyond their price is forgiven, as load on the machine prolongs them, too: to each caller
# and network up to a fifth of what their bucket holds.
SHORT_SECONDS = 0.05
ALLOWANCE_DIVISOR = 5
CUT_OFF_VALUES = 1_000  # for a cancelled statement: cancelling takes a connection to Postgres, and work was for nothing
CLOSED_VALUES = 10_000  # for a closed connection: opening another, and preparing all its statements again
MAX_DEBT_SECONDS = 30  # the longest that a debt delays a caller's next request

Charge = tuple[str, int]  # a bucket's name and capacity


class Buckets:
    """In-memory buckets. All that is stored of a bucket is the time at which it will be full again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, cost: int, charges: Sequence[Charge]) -> float:
        """Takes the cost from all these buckets and returns 0; or from none, and returns the seconds until it could. A
        cost over a bucket's capacity needs a full bucket."""
        now = self._clock()
        kept = self._full_at
        after: list[float] = []
        wait = 0.0
        for name, size in charges:
            full_at = kept.get(name, now)
            if full_at < now:
                full_at = now
            full_at += cost * PERIOD_SECONDS / size if cost < size else PERIOD_SECONDS
            after.append(full_at)
            if full_at - now - PERIOD_SECONDS > wait:
                wait = full_at - now - PERIOD_SECONDS
        if wait > 0.0005:  # not a rounding error of floats
            return wait
        self._keep(charges, after)
        return 0

    def owe(self, cost: int, charges: Sequence[Charge]) -> None:
        """Charges a cost that was not known beforehand; buckets may go into debt, up to MAX_DEBT_SECONDS."""
        now = self._clock()
        latest = now + PERIOD_SECONDS + MAX_DEBT_SECONDS
        after = [
            min(latest, max(now, self._full_at.get(name, now)) + cost * PERIOD_SECONDS / size) for name, size in charges
        ]
        self._keep(charges, after)

    def _keep(self, charges: Sequence[Charge], after: Sequence[float]) -> None:
        kept = self._full_at
        for (name, _), full_at in zip(charges, after, strict=True):
            kept[name] = full_at
            kept.move_to_end(name)
        while len(kept) > MAX_BUCKETS:
            kept.popitem(last=False)


class RedisBuckets:
    """Sliding windows in Redis."""

    def __init__(self, url: str) -> None:
        from limits.aio.storage import RedisStorage
        from limits.aio.strategies import SlidingWindowCounterRateLimiter

        self._pool = redis_pools.opened(url)
        options: dict[str, Any] = {"implementation": "redispy", "connection_pool": self._pool}
        self._storage = RedisStorage(f"async+{url}", **options)
        self._limiter = SlidingWindowCounterRateLimiter(self._storage)

    async def take(self, cost: int, charges: Sequence[Charge]) -> float:
        """Like Buckets.take, but if a bucket is exhausted, those before it have been charged. Raises what Redis
        raises."""
        from limits import RateLimitItemPerMinute

        async with asyncio.timeout(redis_pools.TIMEOUT_SECONDS):
            for name, size in charges:
                item = RateLimitItemPerMinute(size, namespace="aclue")
                taken = min(cost, size)
                if not await self._limiter.hit(item, str(name), cost=taken):
                    windows = await self._storage.get_sliding_window(item.key_for(str(name)), PERIOD_SECONDS)
                    return max(seconds_until(size - taken, *windows), 1.0)
            return 0.0

    async def owe(self, cost: int, charges: Sequence[Charge]) -> None:
        """Like Buckets.owe, but charges no more than the buckets hold."""
        from limits import RateLimitItemPerMinute

        async with asyncio.timeout(redis_pools.TIMEOUT_SECONDS):
            for name, size in charges:
                item = RateLimitItemPerMinute(size, namespace="aclue")
                left = (await self._limiter.get_window_stats(item, str(name))).remaining
                if left > 0:
                    await self._limiter.hit(item, str(name), cost=min(cost, left))

    async def close(self) -> None:
        await self._pool.aclose()


def seconds_until(limit: int, previous: int, previous_left: float, current: int, current_left: float) -> float:
    """Seconds until a sliding window counts no more than `limit`, if nothing is added. The previous window counts in
    proportion to the seconds left of it; the current one counts in full until it becomes the previous one. It is kept
    for a second period, which `current_left` includes."""
    if current <= limit:
        return previous_left - PERIOD_SECONDS * (limit - current) / previous if previous else 0.0
    return current_left - PERIOD_SECONDS * limit / current


class RateLimits:
    """Rate limits of all callers. `service_role` is not limited: its key belongs to the operator."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_caller = settings.rate_limit_cost
        self._per_address = settings.rate_limit_address_cost
        self._clock = clock
        self._own = Buckets(clock)
        self._allowances = Buckets(clock)  # of this process, with Redis, too
        self._of_address = functools.lru_cache(CACHE_ADDRESSES)(self._charges_of)
        self._redis = None
        if settings.redis_url:
            self._redis = RedisBuckets(settings.redis_url)
        self._redis_from = float("-inf")
        self._redis_turns = asyncio.Semaphore(redis_pools.MAX_CONNECTIONS)

    async def take(self, claims: Claims, address: str, cost: int) -> None:
        """Takes a request's cost from its caller's bucket and from those of its networks. Raises RateLimited, with the
        seconds after which it could go through."""
        if claims.role != "service_role":
            charges = self._charges(claims, address)
            # The buckets of this process are used without a coroutine in between, as this happens in each request.
            wait = self._own.take(cost, charges) if self._redis is None else await self._shared(cost, charges)
            if wait > 0:
                raise _exceeded(wait)

    @contextlib.asynccontextmanager
    async def metered(self, claims: Claims, address: str, paid: int) -> AsyncIterator[None]:
        """A block whose sessions are charged at its end like those of a request."""
        meter = Meter()
        token = METER.set(meter)
        try:
            yield
        finally:
            METER.reset(token)
            if meter.seconds > FREE_SECONDS or meter.cut_off:
                await self.settle(claims, address, paid, meter)

    async def settle(self, claims: Claims, address: str, paid: int, meter: Meter) -> None:
        """Charges a request's time in Postgres beyond the price paid, for requests that took more than FREE_SECONDS or
        were cut off, and what cutting off cost: hanging up is never cheaper than waiting. Refuses nothing itself; the
        next request may be refused."""
        owed = max(0, int(meter.seconds * VALUES_PER_SECOND) - paid)
        cut_off = meter.cut_off * CUT_OFF_VALUES + meter.closed * CLOSED_VALUES
        if owed + cut_off <= 0 or claims.role == "service_role":
            return
        charges = self._charges(claims, address)
        is_short = not cut_off and meter.seconds <= SHORT_SECONDS
        if is_short and self._allowances.take(owed * ALLOWANCE_DIVISOR, charges) == 0:
            return
        owed += cut_off
        if self._redis is not None and self._clock() >= self._redis_from:
            with contextlib.suppress(Exception):  # the next request notices that Redis failed
                async with self._redis_turns:
                    await self._redis.owe(owed, charges)
        else:
            self._own.owe(owed, charges)

    def _charges(self, claims: Claims, address: str) -> Sequence[Charge]:
        without_token, of_all = self._of_address(address)
        if claims.subject is None:
            return without_token + of_all
        return ((claims.subject_text, self._per_caller), *of_all)

    def _charges_of(self, address: str) -> tuple[tuple[Charge, ...], tuple[Charge, ...]]:
        """The buckets of callers without a token, and those of all callers. The narrowest network comes first, so that
        Redis charges no wider one for what a narrower one refuses."""
        found = networks(address)
        return (
            tuple((f"nobody at {each.name}", self._per_caller * each.factor) for each in found),
            tuple((f"all at {each.name}", self._per_address * each.factor) for each in found),
        )

    async def take_address(self, address: str, cost: int) -> None:
        """Charges work that precedes authentication, to the networks of an address only. Raises RateLimited."""
        _, charges = self._of_address(address)
        wait = self._own.take(cost, charges) if self._redis is None else await self._shared(cost, charges)
        if wait > 0:
            raise _exceeded(wait)

    async def _shared(self, cost: int, charges: Sequence[Charge]) -> float:
        redis = self._redis
        assert redis is not None
        async with self._redis_turns:  # a burst is not mistaken for a Redis that hangs
            if self._clock() >= self._redis_from:
                try:
                    return await redis.take(cost, charges)
                except Exception as error:  # the service continues without Redis
                    self._redis_from = self._clock() + REDIS_PAUSE_SECONDS
                    error_text = f"{type(error).__name__}: {error}"
                    log.warning("Redis failed: limits hold per process for now", error=error_text)
        return self._own.take(cost, charges)

    async def close(self) -> None:
        if self._redis is not None:
            await self._redis.close()


def _exceeded(wait: float) -> RateLimited:
    metrics.LIMITS.labels("rate").inc()
    return RateLimited("The rate limit per minute is used up: try again later.", retry_after=math.ceil(wait))
