"""How often two products are liked by the same people, as sparse rows, and the neighbours of each product."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from training import kernels

Ints = NDArray[np.int32]
Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Progress = Callable[[float], None]

MIN_PEOPLE = 5.0
"""A weight needs this many people in common, each counted by their trust (k-anonymity)."""
NEIGHBOURS = 200
BLOCK = 256  # products that a thread takes at a time
ROUNDING = 1e-6  # five people are five, in whatever order they were added up


@dataclass(frozen=True, slots=True)
class CoLikes:
    """`rows`: offsets, products and sums of the sparse rows. `neighbours` and `sums`: the best of each row that enough
    people have in common, -1 where there are fewer. `likes`: of each product; `people`: all of them."""

    rows: tuple[NDArray[np.int64], Ints, Singles]
    neighbours: Ints
    sums: Singles
    likes: Floats
    people: float


def ignore(_share: float) -> None:
    """Nobody wants to know the progress."""


def count(
    likes: sparse.csr_matrix,
    shares: Floats,
    *,
    by_popularity: bool,
    min_people: float = MIN_PEOPLE,
    neighbours: int = NEIGHBOURS,
    jobs: int = 1,
    on_progress: Progress = ignore,
) -> CoLikes:
    """The co-likes of a matrix with a row per person, a column per product and trust (0..1) as values. `shares`: how
    much each person counts. `by_popularity`: neighbours are chosen by co-likes over the root of their own likes; else
    by co-likes alone."""
    products = likes.shape[1]
    by_product = likes.T.tocsr()
    totals = np.asarray(by_product @ shares, dtype=np.float64)
    norms = np.sqrt(np.maximum(totals, 1e-12)) if by_popularity else np.ones(products)
    people_of = by_product.indptr, by_product.indices
    products_of = likes.indptr, likes.indices
    sizes = np.zeros(products + 1, np.int64)

    def size(start: int, stop: int) -> None:
        sizes[start + 1 : stop + 1] = kernels.count_row_sizes(people_of, products_of, products, start, stop)

    in_blocks(size, products, jobs, lambda share: on_progress(share / 3))
    offsets = np.cumsum(sizes)
    rows = offsets, np.empty(offsets[-1], np.int32), np.empty(offsets[-1], np.float32)
    best = np.full((products, neighbours), -1, np.int32), np.zeros((products, neighbours), np.float32)

    def fill(start: int, stop: int) -> None:
        people, owned = (*people_of, by_product.data), (*products_of, likes.data)
        kernels.fill_rows(people, owned, shares, norms, min_people - ROUNDING, rows, best, start, stop)

    in_blocks(fill, products, jobs, lambda share: on_progress((1 + 2 * share) / 3))
    return CoLikes(rows, *best, totals, float(shares.sum()))


def in_blocks(work: Callable[[int, int], None], size: int, jobs: int, on_progress: Progress) -> None:
    """Calls `work(start, stop)` for all blocks, on as many threads as `jobs`."""
    blocks = [(start, min(start + BLOCK, size)) for start in range(0, size, BLOCK)]
    with ThreadPoolExecutor(jobs) as pool:
        for done, _ in enumerate(pool.map(lambda block: work(*block), blocks), start=1):
            on_progress(done / len(blocks))
