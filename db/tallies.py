"""Counters and histograms for what happens in each request.

Each value of prometheus_client takes a lock, or writes to a shared file, which for the eight that a request needs is a
hundredth of its time. So they are added up in plain numbers, and passed on once a second and before each scrape. All on
the event loop's thread.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from prometheus_client import Counter, Histogram

_ALL: list[Tally | DurationTally] = []


class Tally:
    """Adds up for a counter."""

    __slots__ = ("_counter", "_pending")

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._pending = 0
        _ALL.append(self)

    def inc(self, amount: int = 1) -> None:
        self._pending += amount

    def flush(self) -> None:
        if self._pending:
            pending, self._pending = self._pending, 0
            self._counter.inc(pending)


class DurationTally:
    """Adds up for a histogram with these bounds, in seconds."""

    __slots__ = ("_bounds", "_counts", "_histogram", "_sum")

    def __init__(self, histogram: Histogram, bounds: Sequence[float]) -> None:
        self._histogram = histogram
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        _ALL.append(self)

    def observe(self, seconds: float) -> None:
        self._sum += seconds
        self._counts[bisect_left(self._bounds, seconds)] += 1

    def flush(self) -> None:
        """prometheus_client has no method for many observations at once."""
        if any(self._counts):
            counts, self._counts = self._counts, [0] * len(self._counts)
            total, self._sum = self._sum, 0.0
            self._histogram._sum.inc(total)  # noqa: SLF001
            for bucket, count in zip(self._histogram._buckets, counts, strict=True):  # noqa: SLF001
                if count:
                    bucket.inc(count)


def flush() -> None:
    """Passes on what was added up."""
    for tally in _ALL:
        tally.flush()
