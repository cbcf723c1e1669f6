"""Thinned SLIM and a random walk: sparse weights from liked products to others, for three lengths of history.

SLIM (Ning and Karypis 2011) regresses "j is liked" on the person's other likes. Here it is fitted in expectation over
histories thinned to a share q, so that one table suits people with few likes and another people with many. Formulas:
docs/training.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from training import kernels
from training.co_likes import MIN_PEOPLE, CoLikes, Floats, Ints, Progress, Singles, count, ignore, in_blocks

WALK_PRIOR = 0.2  # in people with one like: keeps rarely liked products from sure steps
PER_SOURCE = 100  # weights of a product; a limit per target as well costs .008 at ten events
MAX_LIKES = 1000  # of a person; bounds the work
MAX_PAIRS = 150_000_000  # of likes of one person, over all people; bounds the memory, at 8 bytes each
ACTIVITY_EXPONENT = 0.25  # of a person's number of likes, by which each of them says less


@dataclass(frozen=True, slots=True)
class Strength:
    """Of a table. `share`: of a history that is kept (q). `l1`, `l2`: the elastic net. `walk`: how much the random walk
    adds. `power`: of the weights; above 1, the larger ones count for more. `rarity`: how much less a like of an often
    liked product says. `bias`: how much the biases count beside the weights."""

    share: float
    l1: float
    l2: float
    walk: float = 0.0
    power: float = 1.0
    rarity: float = 0.0
    bias: float = 1.0


@dataclass(frozen=True, slots=True)
class Table:
    """`weights[i, j]`: what a like of i adds to the score of j; `biases`: what is added to, moved so that none is below
    0. `shares`: how many of all people like a product, 0..1, the scores of somebody without likes; None: the biases."""

    weights: sparse.csr_matrix
    biases: Floats
    shares: Floats | None = None
    _within: dict[int, Table] = field(default_factory=dict, repr=False, compare=False)

    def within(self, reach: int) -> Table:
        """With the largest `reach` weights of each product only."""
        if reach >= PER_SOURCE:
            return self
        if reach not in self._within:
            self._within[reach] = Table(top(self.weights, reach), self.biases, self.shares)
        return self._within[reach]


KINDS = {"first": 3, "few": 10, "many": None}
"""The tables, and up to how many events of a person each of them is used."""


def kind_of(events: int | None) -> str:
    """The table for a person of so many events; None: of all they have."""
    for kind, limit in KINDS.items():
        if limit is None or (events is not None and events <= limit):
            return kind
    raise AssertionError("the last table has no limit")


def train(
    likes: sparse.csr_matrix,
    strengths: Mapping[str, Strength],
    *,
    jobs: int = 1,
    min_people: float = MIN_PEOPLE,
    on_progress: Progress = ignore,
) -> dict[str, Table]:
    """A table of each kind. `likes`: a row per person, a column per product, trust (0..1) as values. The same likes
    give the same tables, whatever `jobs` is."""
    likes = capped(likes.astype(np.float32))
    walks = any(strength.walk for strength in strengths.values())
    steps = walk(likes, jobs, min_people, _part(on_progress, 0.0, 0.2)) if walks else None
    co_likes = count(
        likes,
        activity_weights(likes),
        by_popularity=True,
        min_people=min_people,
        jobs=jobs,
        on_progress=_part(on_progress, 0.2, 0.4),
    )
    shares = np.asarray(likes.sum(axis=0), np.float32).ravel() / np.float32(
        max(likes.shape[0], 1)
    )  # as they are stored
    tables: dict[str, Table] = {}
    for index, (kind, strength) in enumerate(strengths.items()):
        start = 0.4 + 0.6 * index / len(strengths)
        table = fit(co_likes, strength, jobs, _part(on_progress, start, start + 0.6 / len(strengths)))
        weights = top(finished(table.weights, co_likes.likes, strength, steps), PER_SOURCE)
        tables[kind] = Table(weights, strength.bias * table.biases, shares.astype(np.float64))
    return tables


def finished(
    weights: sparse.csr_matrix, likes: Floats, strength: Strength, steps: sparse.csr_matrix | None
) -> sparse.csr_matrix:
    """The weights of the regression with the walk, to their power, and less of the products with more `likes`; the sum
    of all stays."""
    if steps is not None and strength.walk:
        weights = weights + strength.walk * steps
    if (strength.power == 1 and not strength.rarity) or not weights.nnz:
        return weights
    by_source = np.maximum(likes, 1.0) ** -strength.rarity
    moved = sparse.diags(by_source.astype(np.float32)) @ weights.power(strength.power)
    return (moved * (weights.sum() / moved.sum())).tocsr()


def fit(co_likes: CoLikes, strength: Strength, jobs: int = 1, on_progress: Progress = ignore) -> Table:
    """The regression of every product on its neighbours, without the walk."""
    weights, biases = np.zeros(co_likes.neighbours.shape, np.float32), np.zeros(len(co_likes.likes))

    def solve(start: int, stop: int) -> None:
        kernels.solve_rows(
            co_likes.rows,
            co_likes.likes,
            max(co_likes.people, 1.0),
            strength.share,
            strength.l1,
            strength.l2,
            co_likes.neighbours,
            weights,
            biases,
            start,
            stop,
        )

    in_blocks(solve, len(biases), jobs, on_progress)
    moved = (biases - biases.min(initial=0.0)).astype(np.float32)  # as they are stored
    return Table(_matrix(co_likes.neighbours, weights).T.tocsr(), moved.astype(np.float64))


def activity_weights(likes: sparse.csr_matrix) -> Floats:
    """How much each person counts: less with more likes, 1 on average of all."""
    sizes = np.maximum(np.diff(likes.indptr), 1).astype(np.float64)
    weights = sizes**-ACTIVITY_EXPONENT
    result: Floats = weights / weights.mean() if len(weights) else weights
    return result


def capped(likes: sparse.csr_matrix) -> sparse.csr_matrix:
    """The likes, of each person at most so many that there are MAX_PAIRS in all, and at most MAX_LIKES: evenly of their
    columns."""
    sizes = np.diff(likes.indptr).astype(np.int64)
    most = MAX_LIKES
    while most > 1 and int((np.minimum(sizes, most) ** 2).sum()) > MAX_PAIRS:
        most = most * 9 // 10
    if not len(sizes) or sizes.max() <= most:
        return likes
    place = np.arange(likes.nnz) - np.repeat(likes.indptr[:-1], sizes)
    keep = place * most // np.repeat(sizes, sizes) != (place - 1) * most // np.repeat(sizes, sizes)
    keep |= np.repeat(sizes, sizes) <= most
    offsets = np.concatenate([[0], np.cumsum(keep)])[likes.indptr]
    return sparse.csr_matrix((likes.data[keep], likes.indices[keep], offsets), shape=likes.shape)


def walk(
    likes: sparse.csr_matrix, jobs: int = 1, min_people: float = MIN_PEOPLE, on_progress: Progress = ignore
) -> sparse.csr_matrix:
    """The probability of a step from a product to somebody who liked it and on to another product of theirs (Cooper
    and others 2014)."""
    sizes = np.diff(likes.indptr)
    shares = np.where(sizes > 0, 1.0 / np.maximum(sizes, 1), 0.0)
    co_likes = count(
        likes,
        shares,
        by_popularity=False,
        min_people=min_people,
        neighbours=PER_SOURCE,
        jobs=jobs,
        on_progress=on_progress,
    )
    totals = (co_likes.likes + WALK_PRIOR).astype(np.float32)
    return _matrix(co_likes.neighbours, np.divide(co_likes.sums, totals[:, None], dtype=np.float32))


def _matrix(neighbours: Ints, values: Singles) -> sparse.csr_matrix:
    rows, places = np.nonzero((neighbours >= 0) & (values > 0))
    size = len(neighbours)
    return sparse.csr_matrix((values[rows, places], (rows, neighbours[rows, places])), shape=(size, size))


def top(matrix: sparse.csr_matrix, size: int) -> sparse.csr_matrix:
    """The largest values of each row; of equals the first columns."""
    matrix.sort_indices()
    sizes = np.diff(matrix.indptr)
    row_of = np.repeat(np.arange(matrix.shape[0]), sizes)
    order = np.lexsort((matrix.indices, -matrix.data, row_of))
    place = np.arange(len(order)) - np.repeat(matrix.indptr[:-1], sizes)
    keep = order[place < size]
    result = sparse.csr_matrix((matrix.data[keep], (row_of[keep], matrix.indices[keep])), shape=matrix.shape)
    result.sort_indices()
    return result


def _part(on_progress: Progress, start: float, stop: float) -> Callable[[float], None]:
    return lambda share: on_progress(start + share * (stop - start))
