"""What is known of people when products are ranked for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from training.events import LIKED, SUPER_LIKED, Events

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Signals:
    """A signal per row, one for each person and product. `people` and `products` are places from 0; `values` 0..1;
    `ages` in days before the ranking."""

    people: Numbers
    products: Numbers
    values: Floats
    ages: Floats
    people_count: int
    product_count: int

    def counts(self) -> Numbers:
        """How many signals each person has."""
        return np.bincount(self.people, minlength=self.people_count)

    def leans(self, dislike: float = 1.0) -> Floats:
        """-1..1, of the value; those below 0 times `dislike`."""
        leans = 2 * self.values - 1
        return np.where(self.values < LIKED, dislike * leans, leans)

    def strengths(self, super_like: float, half_life: float | None) -> Floats:
        """How much each signal counts in the sums of weights: `super_like` for a super-like, 1 for others, halved for
        every `half_life` days; None: not halved."""
        return np.where(self.values >= SUPER_LIKED, super_like, 1.0) * self.decay(half_life)

    def decay(self, half_life: float | None) -> Floats:
        """How much of each signal its age leaves, 0..1."""
        return np.ones(len(self.ages)) if half_life is None else 0.5 ** (self.ages / half_life)

    def matrix(self, values: Floats, which: NDArray[np.bool_] | None = None) -> sparse.csr_matrix:
        """A row per person, a column per product, with the values of these signals (None: of all)."""
        shape = (self.people_count, self.product_count)
        if which is None:
            which = np.ones(len(self.people), bool)
        return sparse.csr_matrix((values[which], (self.people[which], self.products[which])), shape=shape)

    def likes(self) -> sparse.csr_matrix:
        """1 for each like."""
        return self.matrix(np.ones(len(self.people)), self.values >= LIKED)

    def of_people(self, start: int, stop: int) -> Signals:
        """Those of the people from `start` to `stop`; signals are in the order of people."""
        first, last = np.searchsorted(self.people, (start, stop))
        part = slice(first, last)
        return Signals(
            self.people[part] - start,
            self.products[part],
            self.values[part],
            self.ages[part],
            min(stop, self.people_count) - start,
            self.product_count,
        )


def known(history: Events, level: int | None) -> Signals:
    """The first `level` events of each person (None: all), as old as they were on the day of the last of them."""
    which = np.ones(len(history.people), bool) if level is None else history.places() < level
    events = history.of(which)
    newest = np.full(len(history.names), np.iinfo(np.int64).min)
    np.maximum.at(newest, events.people, events.days)
    ages = (newest[events.people] - events.days).astype(np.float64)
    return Signals(events.people, events.products, events.values, ages, len(history.names), history.product_count)
