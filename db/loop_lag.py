"""Measures how late the event loop runs what is due, to tell the time of Postgres from that of this process."""

from __future__ import annotations

import asyncio
import time

INTERVAL_SECONDS = 0.05


class Watch:
    """Measures from its creation on."""

    __slots__ = ("_lag", "_lag_before", "_started")

    def __init__(self, lag: LoopLag) -> None:
        self._lag = lag
        self._started = time.perf_counter()
        self._lag_before = lag.seconds(self._started)

    def read(self) -> tuple[float, float]:
        """Seconds until now, and the part of them that was not the lag of the event loop."""
        now = time.perf_counter()
        elapsed = now - self._started
        return elapsed, elapsed - (self._lag.seconds(now) - self._lag_before)


class LoopLag:
    """A timer that notices by how much it is late. Zero until it is started."""

    def __init__(self) -> None:
        self._sum = 0.0
        self._due_at = float("inf")
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Starts measuring on the running event loop."""
        self._due_at = time.perf_counter() + INTERVAL_SECONDS
        self._timer = asyncio.get_running_loop().call_later(INTERVAL_SECONDS, self._tick)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def watch(self) -> Watch:
        """A measurement that begins now."""
        return Watch(self)

    def seconds(self, now: float) -> float:
        """The sum of all lag until `now`, as time.perf_counter() has just returned it. The difference of two readings
        is the lag between them."""
        late = now - self._due_at
        return self._sum + late if late > 0 else self._sum

    def _tick(self) -> None:
        self._sum = self.seconds(time.perf_counter())
        self.start()
