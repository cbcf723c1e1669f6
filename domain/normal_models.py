"""The joint normal model of a trait's items: what some answers say about the others, and about the full form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

# Gauss-Hermite quadrature with 15 nodes (Abramowitz and Stegun 1964, 25.4.46), for the standard normal density: the
# nodes from 0 on and their weights, which add up to 1 with those of the negative nodes.
HERMITE = (
    (0.000000000000000, 0.318259518259518),
    (0.799129068324548, 0.232462293609732),
    (1.606710069028730, 0.0894177953998444),
    (2.432436827009758, 0.0173657744921376),
    (3.289082424398766, 0.00156735750354996),
    (4.196207711269015, 5.64214640518903e-05),
    (5.190093591304781, 5.9754195979206e-07),
    (6.363947888829839, 8.58964989963325e-10),
)


class NotPositiveDefinite(ValueError):
    """An item is a linear combination of others, or does not vary."""


@dataclass(frozen=True, slots=True)
class Conditioned:
    """Means and covariance of all items given some of them; `distance` is the squared Mahalanobis distance of those
    from their means (Mahalanobis 1936), with as many degrees of freedom as there are."""

    means: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    distance: float


def innovations(
    means: Sequence[float], covariance: Sequence[Sequence[float]], known: Mapping[int, float]
) -> Conditioned:
    """Conditions a normal distribution on known values by position, one at a time. Raises NotPositiveDefinite."""
    m = list(means)
    c = [list(row) for row in covariance]
    distance = 0.0
    for i in sorted(known):
        variance = c[i][i]
        if variance <= 1e-9 * max(covariance[i][i], 1e-9):
            raise NotPositiveDefinite(f"item {i}")
        surprise = known[i] - m[i]
        distance += surprise * surprise / variance
        column = [row[i] for row in c]
        for j, gain in enumerate(column):
            m[j] += gain / variance * surprise
            for k, other in enumerate(column):
                c[j][k] -= gain * other / variance
    return Conditioned(tuple(m), tuple(tuple(row) for row in c), distance)


def weighted(weights: Sequence[float], among: Sequence[int]) -> list[float]:
    """The weights of a weighted mean of some items, by position; they add up to 1."""
    total = sum(weights[i] for i in among)
    return [weights[i] / total if i in among else 0.0 for i in range(len(weights))]


def product(a: Sequence[float], covariance: Sequence[Sequence[float]], b: Sequence[float]) -> float:
    """a' C b: the covariance of two linear combinations of the items."""
    return sum(x * sum(c * y for c, y in zip(row, b, strict=True)) for x, row in zip(a, covariance, strict=True) if x)


def expectation(function: Callable[[float], float], mean: float, sd: float) -> float:
    """The expectation of a function of a normal variable, by Gauss-Hermite quadrature."""
    return sum(
        weight * function(mean + sign * node * sd) for node, weight in HERMITE for sign in ((1, -1) if node else (1,))
    )


def spread(function: Callable[[float], float], mean: float, sd: float) -> float:
    """The variance of a function of a normal variable."""
    centre = expectation(function, mean, sd)
    return expectation(lambda x: (function(x) - centre) ** 2, mean, sd)


def root(value: float) -> float:
    """A square root for variances that rounding may have made negative."""
    return sqrt(max(0.0, value))
