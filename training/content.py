"""What products have in common: categories, brands and tags, and how much people who liked some of them prefer others.

The formula is that of feeds: docs/recommendations.md, Preference.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from training.signals import Signals

Floats = NDArray[np.float64]
PRIOR = 2.0  # imagined neutral signals of each category, brand and tag
DISLIKE = 0.25  # of what a like counts
SHARES = {"categories": 0.5, "brands": 0.2, "tags": 0.3}


@dataclass(frozen=True, slots=True)
class Content:
    """A row per product and a column per category, brand or tag: 1 where the product has it."""

    categories: sparse.csr_matrix
    brands: sparse.csr_matrix
    tags: sparse.csr_matrix

    def of(self, products: NDArray[np.int64]) -> Content:
        """These products only, in this order."""
        return Content(self.categories[products], self.brands[products], self.tags[products])

    def category_of(self) -> NDArray[np.int64]:
        """Of each product the place of its category, -1 for none."""
        found = np.full(self.categories.shape[0], -1)
        products, categories = self.categories.nonzero()
        found[products] = categories
        return found


def make(
    categories: Sequence[Hashable | None], brands: Sequence[Hashable | None], tags: Sequence[Iterable[Hashable]]
) -> Content:
    """Of each product, in order: its category and brand, None where it has none, and its tags."""
    return Content(
        _indicators([() if value is None else (value,) for value in categories]),
        _indicators([() if value is None else (value,) for value in brands]),
        _indicators(tags),
    )


def none(product_count: int) -> Content:
    """Of products of which nothing is known."""
    return make([None] * product_count, [None] * product_count, [()] * product_count)


def _indicators(values: Sequence[Iterable[Hashable]]) -> sparse.csr_matrix:
    place: dict[Hashable, int] = {}
    rows, columns = [], []
    for row, found in enumerate(values):
        for value in dict.fromkeys(found):
            rows.append(row)
            columns.append(place.setdefault(value, len(place)))
    return sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(values), len(place)))


def preferences(content: Content, signals: Signals, weights: Floats) -> Floats:
    """How much each person prefers each product, -1..1: a row per person. `weights`: how much each signal counts,
    0..1."""
    found = np.zeros((signals.people_count, signals.product_count))
    counted, leans = signals.matrix(weights), signals.matrix(weights * signals.leans(DISLIKE))
    for name, share in SHARES.items():
        values: sparse.csr_matrix = getattr(content, name)
        if not values.nnz:
            continue
        affinities = (leans @ values).toarray() / ((counted @ values).toarray() + PRIOR)
        sizes = np.maximum(np.asarray(values.sum(axis=1)).ravel(), 1.0)
        found += share * ((values @ affinities.T) / sizes[:, None]).T
    return found
