"""Load shedding: refuses requests that would wait too long, before anything is done for them.

By Little's law a request takes as long as it takes to answer all that are in progress: their number divided by how many
are answered in a second. The number is counted here, and so is the rate: the highest of the last seconds, as what is
answered while there is little to do says nothing of what could be (Cardwell et al., "BBR", 2016, measure bandwidth in
this way). A short burst is taken in, a standing queue is not (Nichols and Jacobson, "Controlling Queue Delay", 2012).
"""

from __future__ import annotations

import contextlib
import random
import time
from collections import deque
from collections.abc import Callable, Iterator

from db import metrics
from domain.errors import Overloaded
from domain.networks import site

WINDOW_SECONDS = 0.25  # in which answers are counted
MEMORY_SECONDS = 10.0  # for which the highest rate is believed
BURST_SECONDS = 0.2  # for which more requests may be in progress
BURST_FACTOR = 8  # of the connections to Postgres: how many more, at the most
MAX_RETRY_SECONDS = 4
# While one site has most of the requests, others are taken in beyond the limit, up to this multiple of it; if they have
# no more than this part of all themselves. A site, as households are cheap: one /48 has 65,536 of them.
RESERVE = 1.5
SMALL_PART = 16


class Admission:
    """Per process. `connections`: how many requests Postgres can work on; as many are never refused. `seconds`: how
    long a request may take while more are in progress; 0: for ever."""

    def __init__(self, connections: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._connections = connections
        self._seconds = seconds
        self._clock = clock
        self._running = 0
        self._by_site: dict[str, int] = {}
        self._answered = 0
        self._window_began = clock()
        self._rates: deque[tuple[float, float]] = deque()  # until when each is believed; falling
        self._crowded_since = 0.0  # 0.0: the limit is not reached

    @contextlib.contextmanager
    def held(self, address: str) -> Iterator[None]:
        """Counts a request while it is in progress. Raises Overloaded, at once."""
        name = site(address)
        running = self._running
        if running >= self._connections and self._seconds and self._is_over(running, name):
            metrics.LIMITS.labels("load").inc()
            seconds = random.randint(1, MAX_RETRY_SECONDS)  # noqa: S311  so that not all come back at once
            raise Overloaded("The server is busy, try again shortly.", retry_after=seconds)
        self._running = running + 1
        self._by_site[name] = self._by_site.get(name, 0) + 1
        try:
            yield
        finally:
            self._leave(name)

    @contextlib.contextmanager
    def released(self, address: str) -> Iterator[None]:
        """A block in which a request that is `held` waits for the answer to another one, and so keeps nobody out."""
        name = site(address)
        if name not in self._by_site:
            yield
            return
        self._remove(name)
        try:
            yield
        finally:
            self._running += 1
            self._by_site[name] = self._by_site.get(name, 0) + 1

    @property
    def running(self) -> int:
        """The number of requests in progress."""
        return self._running

    @property
    def limit(self) -> float:
        """How many requests may be in progress for longer than a burst."""
        now = self._clock()
        while self._rates and self._rates[0][0] < now:
            self._rates.popleft()
        rate = self._rates[0][1] if self._rates else 0.0
        return max(self._connections, rate * self._seconds)

    def _is_over(self, running: int, name: str) -> bool:
        limit = self.limit
        if running < limit:
            if running < limit / 2:  # not at once: it would oscillate between a full queue and a burst
                self._crowded_since = 0.0
            return False
        now = self._clock()
        self._crowded_since = self._crowded_since or now
        is_burst = now - self._crowded_since < BURST_SECONDS
        if is_burst and running < max(BURST_FACTOR * self._connections, RESERVE * limit):
            return False
        return running >= RESERVE * limit or not self._is_reserved_for(name)

    def _is_reserved_for(self, name: str) -> bool:
        counts = self._by_site
        return counts.get(name, 0) * SMALL_PART <= self._running < 2 * max(counts.values())

    def _remove(self, name: str) -> None:
        self._running -= 1
        if (left := self._by_site[name] - 1) > 0:
            self._by_site[name] = left
        else:
            del self._by_site[name]

    def _leave(self, name: str) -> None:
        self._remove(name)
        if self._running < self._connections / 2:
            self._crowded_since = 0.0
        self._answered += 1
        now = self._clock()
        if (elapsed := now - self._window_began) >= WINDOW_SECONDS:
            rate = self._answered / elapsed
            while self._rates and self._rates[-1][1] <= rate:
                self._rates.pop()
            self._rates.append((now + MEMORY_SECONDS, rate))
            self._answered, self._window_began = 0, now
