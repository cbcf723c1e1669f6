"""The compiled loops of the recommender's training. They release the lock of the interpreter, so threads run them on
all cores. Their callers, and what the arrays mean, are in `training/slim.py`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def count_row_sizes(
    people_of: tuple[Any, Any], products_of: tuple[Any, Any], products: int, start: int, stop: int
) -> Any:
    """How many other products have a person in common with each of the products from `start` to `stop`."""
    person_from, person_to = people_of
    first, product_at = products_of
    seen = np.full(products, -1, np.int32)
    sizes = np.zeros(stop - start, np.int64)
    for j in range(start, stop):
        seen[j] = j
        for p in range(person_from[j], person_from[j + 1]):
            u = person_to[p]
            for r in range(first[u], first[u + 1]):
                i = product_at[r]
                if seen[i] != j:
                    seen[i] = j
                    sizes[j - start] += 1
    return sizes


@njit(nogil=True, cache=True)
def fill_rows(
    people_of: tuple[Any, Any, Any],
    products_of: tuple[Any, Any, Any],
    shares: Any,
    norms: Any,
    least: float,
    rows: tuple[Any, Any, Any],
    best: tuple[Any, Any],
    start: int,
    stop: int,
) -> None:
    """Fills rows `start` to `stop` of the co-likes (`rows`: offsets, products, sums), and each one's best neighbours by
    co-like / norm among those that `least` trusted people have in common with it (`best`: products, -1 where there are
    fewer, and sums)."""
    neighbours, sums_of_best = best
    person_from, person_to, trust_to = people_of
    first, product_at, trust_at = products_of
    offsets, columns, sums = rows
    products = len(norms)
    sum_of, common = np.zeros(products), np.zeros(products)
    touched = np.empty(products, np.int32)
    values = np.empty(products)
    wanted = neighbours.shape[1]
    for j in range(start, stop):
        size = 0
        for p in range(person_from[j], person_from[j + 1]):
            u, trust = person_to[p], trust_to[p]
            for r in range(first[u], first[u + 1]):
                i = product_at[r]
                if i == j:
                    continue
                if common[i] == 0.0:
                    touched[size] = i
                    size += 1
                common[i] += trust * trust_at[r]
                sum_of[i] += shares[u] * trust * trust_at[r]
        candidates = 0
        offset = offsets[j]
        chosen = np.empty(size, np.int32)
        for s in range(size):
            i = touched[s]
            columns[offset + s] = i
            sums[offset + s] = sum_of[i]
            if common[i] >= least:
                chosen[candidates] = i
                values[candidates] = -sum_of[i] / norms[i]
                candidates += 1
            sum_of[i] = 0.0
            common[i] = 0.0
        order = np.argsort(values[:candidates], kind="mergesort")
        for s in range(min(wanted, candidates)):
            neighbours[j, s] = chosen[order[s]]
            sums_of_best[j, s] = -values[order[s]] * norms[chosen[order[s]]]


@njit(nogil=True, cache=True, fastmath=True)
def _descend(gram: Any, diagonal: Any, target: Any, likes: float, people: float, l1: float, l2: float, w: Any) -> float:
    """Coordinate descent for one product; fills `w` and returns the bias. `gram` has no diagonal."""
    k = len(diagonal)
    fitted = np.zeros(k)
    bias, total = likes / people, 0.0
    for _ in range(100):
        change = 0.0
        for i in range(k):
            new = max(0.0, (target[i] - fitted[i] - diagonal[i] * bias - l1) / (diagonal[i] + l2))
            step = new - w[i]
            if step != 0.0:
                w[i] = new
                row = gram[i]
                for m in range(k):
                    fitted[m] += row[m] * step
                total += diagonal[i] * step
                change = max(change, abs(step))
        new_bias = (likes - total) / people
        change = max(change, abs(new_bias - bias))
        bias = new_bias
        if change < 1e-5:
            break
    return bias


@njit(nogil=True, cache=True)
def solve_rows(
    rows: tuple[Any, Any, Any],
    likes: Any,
    people: float,
    share: float,
    l1: float,
    l2: float,
    neighbours: Any,
    weights: Any,
    biases: Any,
    start: int,
    stop: int,
) -> None:
    """Fits the weights of the neighbours of products `start` to `stop`, and their biases."""
    offsets, columns, sums = rows
    wanted = neighbours.shape[1]
    place = np.full(len(likes), -1, np.int32)
    gram = np.zeros((wanted, wanted))
    for j in range(start, stop):
        k = 0
        while k < wanted and neighbours[j, k] >= 0:
            place[neighbours[j, k]] = k
            k += 1
        target, diagonal, w = np.zeros(k), np.zeros(k), np.zeros(k)
        for p in range(offsets[j], offsets[j + 1]):
            if place[columns[p]] >= 0:
                target[place[columns[p]]] = share * sums[p]
        for a in range(k):
            i = neighbours[j, a]
            diagonal[a] = share * likes[i]
            gram[a, :k] = 0.0
            for p in range(offsets[i], offsets[i + 1]):
                b = place[columns[p]]
                if b >= 0:
                    gram[a, b] = share * share * sums[p]
        biases[j] = _descend(gram[:k, :k], diagonal, target, likes[j], people, l1, l2, w)
        for a in range(k):
            weights[j, a] = w[a]
            place[neighbours[j, a]] = -1
