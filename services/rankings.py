"""A cache of ranked first pages of feeds.

A page is cached with the state that it was ranked from: the model and everything that the person did. Each request
reads the current state, so a swipe takes effect on the very next page. Changes of the catalogue may take
RANKING_LIFETIME seconds to show; a product that can no longer be bought is never served from the cache.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

CACHE_PAGES = 500  # per process; the least recently used are evicted

Page = TypeVar("Page")


@dataclass(frozen=True, slots=True)
class Kept(Generic[Page]):
    """`state` is what the page was ranked from; `until` is when it expires."""

    page: Page
    state: Hashable
    until: float


class Rankings(Generic[Page]):
    """One per process. `hits` and `misses` count the requests that could use the cache."""

    def __init__(self, lifetime: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._lifetime = lifetime
        self._clock = clock
        self._kept: OrderedDict[Hashable, Kept[Page]] = OrderedDict()
        self.hits = 0
        self.misses = 0

    def find(self, key: Hashable) -> Kept[Page] | None:
        """The cached page of a key. The caller compares the state, and reports the outcome to `used`."""
        kept = self._kept.get(key)
        if kept is None or kept.until <= self._clock():
            return None
        self._kept.move_to_end(key)
        return kept

    def used(self, *, is_hit: bool) -> None:
        """Counts a hit or a miss."""
        if is_hit:
            self.hits += 1
        else:
            self.misses += 1

    def keep(self, key: Hashable, state: Hashable, page: Page) -> None:
        """Caches a page, unless the lifetime is 0."""
        if self._lifetime:
            self._kept[key] = Kept(page, state, self._clock() + self._lifetime)
            self._kept.move_to_end(key)
            if len(self._kept) > CACHE_PAGES:
                self._kept.popitem(last=False)
