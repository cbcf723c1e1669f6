"""First pages of feeds that were ranked lately: asked for again while nothing has changed, they cost no ranking.

A page is kept with the state that it was ranked from: the model and all that the person did. The state is read anew for
each request, so a swipe shows in the very next page. What changes in the catalogue may show RANKING_LIFETIME seconds
later; a product that can no longer be bought is never shown from here.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

CACHE_PAGES = 500  # pages per process, those used last

Page = TypeVar("Page")


@dataclass(frozen=True, slots=True)
class Kept(Generic[Page]):
    """`state` is what the page follows from; `until` is when it is too old."""

    page: Page
    state: Hashable
    until: float


class Rankings(Generic[Page]):
    """Per process. `hits` and `misses` count the requests that could have been answered from here."""

    def __init__(self, lifetime: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._lifetime = lifetime
        self._clock = clock
        self._kept: OrderedDict[Hashable, Kept[Page]] = OrderedDict()
        self.hits = 0
        self.misses = 0

    def find(self, key: Hashable) -> Kept[Page] | None:
        """What was kept under this key. Whoever asks compares the state, and says by `used` what came of it."""
        kept = self._kept.get(key)
        if kept is None or kept.until <= self._clock():
            return None
        self._kept.move_to_end(key)
        return kept

    def used(self, *, is_hit: bool) -> None:
        """Counts a request."""
        if is_hit:
            self.hits += 1
        else:
            self.misses += 1

    def keep(self, key: Hashable, state: Hashable, page: Page) -> None:
        """Keeps a page; a lifetime of 0 keeps none."""
        if self._lifetime:
            self._kept[key] = Kept(page, state, self._clock() + self._lifetime)
            self._kept.move_to_end(key)
            if len(self._kept) > CACHE_PAGES:
                self._kept.popitem(last=False)
