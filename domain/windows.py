"""The order of products within a window of a feed: variants apart, categories mixed, some places explored.

A feed is cut into consecutive windows of WINDOW products of the score order. Only within a window may the order differ
from the scores, so that a feed needs no memory of what it showed before the window. docs/recommendations.md explains.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

WINDOW = 50
DIVERSITY = 0.2  # of the window's range of scores: the most that a product loses to its category
EXPLORED_PLACE, PLACES = 7, 10  # one place of ten
TEMPERATURE = 0.25  # of the softmax, in ranges of the window's scores


@dataclass(frozen=True, slots=True)
class Candidate:
    """A product of a window. `group` is equal for variants of one product."""

    number: int
    group: int
    category: Hashable
    score: float


@dataclass(frozen=True, slots=True)
class Place:
    """`index`: of the candidate. `propensity`: the probability with which it was drawn for an explored place; None:
    ranked."""

    index: int
    propensity: float | None = None


def arrange(
    window: Sequence[Candidate], top: float, bottom: float, *, diversity: float = DIVERSITY, seed: bytes | None = None
) -> list[Place]:
    """The order of a window, the first variant of each product only. `top` and `bottom` are the scores at its ends.
    `seed`: explores, and alike for the same seed."""
    width = max(top - bottom, 1e-9)
    values: dict[int, float] = {}
    groups: set[int] = set()
    of_category: Counter[Hashable] = Counter()
    for index, each in enumerate(window):
        if each.group in groups:
            continue
        groups.add(each.group)
        of_category[each.category] += 1
        values[index] = (each.score - bottom) / width - diversity * (1 - 1 / of_category[each.category])
    order = sorted(values, key=lambda index: (-values[index], index))
    places = [Place(index) for index in order]
    if seed is not None:
        for at in range(EXPLORED_PLACE - 1, len(places) - 1, PLACES):
            rest = places[at:]
            weights = [math.exp(values[place.index] / TEMPERATURE) for place in rest]
            chosen, share = draw(weights, seed + at.to_bytes(2, "big"))
            places.insert(at, Place(places.pop(at + chosen).index, share))
    return places


def draw(weights: Sequence[float], seed: bytes) -> tuple[int, float]:
    """An index, drawn in proportion to its weight, and its share. The same seed draws the same."""
    total = sum(weights)
    point = int.from_bytes(hashlib.sha256(seed).digest()[:8], "big") / 2**64 * total
    sums = itertools.accumulate(weights)
    index = next((index for index, passed in enumerate(sums) if passed > point), len(weights) - 1)
    return index, weights[index] / total
