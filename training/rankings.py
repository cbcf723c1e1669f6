"""Rankings of held-out people, and how good they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from training.events import LIKED, Events
from training.slim import Table, kind_of

Scorer = Callable[[sparse.csr_matrix, int | None], NDArray[np.float64]]
"""Scores of all products for people with these likes, of whom so many events are known (None: all)."""
BATCH = 256  # people whose scores are in memory at a time


class NoTargets(ValueError):
    """A ranking cannot be judged; the message says why."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over people with at least one liked target. `coverage`: the share of products in
    anybody's first ten."""

    ndcg10: float
    ndcg100: float
    recall20: float
    hit10: float
    coverage: float


def scorer(tables: dict[str, Table]) -> Scorer:
    """Scores by the table for this number of events."""

    def score(likes: sparse.csr_matrix, events: int | None) -> NDArray[np.float64]:
        table = tables[kind_of(events)]
        return np.asarray((likes @ table.weights).todense(), dtype=np.float64) + table.biases

    return score


def rank(score: Scorer, history: Events, level: int | None, size: int = 100) -> NDArray[np.int64]:
    """The best products of every person by their first `level` events, without any of their whole history: a row per
    person; of equals the first product."""
    places = history.places()
    known = history.values >= LIKED
    if level is not None:
        known &= places < level
    likes = history.matrix(known)
    seen = history.matrix(np.ones(len(history.people), bool))
    size = min(size, history.product_count)
    batches = []
    for start in range(0, len(history.names), BATCH):
        scores = score(likes[start : start + BATCH], level)
        rows, columns = seen[start : start + BATCH].nonzero()
        scores[rows, columns] = -np.inf
        batches.append(np.argsort(-scores, axis=1, kind="stable")[:, :size])
    return np.concatenate(batches) if batches else np.zeros((0, size), np.int64)


def judge(ranks: NDArray[np.int64], history: Events, targets: Events) -> Quality:
    """The quality of rankings by `rank` for those of the history's people who are among the targets'. Raises
    NoTargets."""
    place = {name: index for index, name in enumerate(targets.names)}
    liked = targets.likes()
    ndcg10, ndcg100, recalls, hits = [], [], [], []
    for row, name in enumerate(history.names):
        if name not in place:
            continue
        wanted = liked.indices[liked.indptr[place[name]] : liked.indptr[place[name] + 1]]
        if not len(wanted):
            continue
        found = np.isin(ranks[row], wanted)
        ndcg10.append(_ndcg(found[:10], len(wanted)))
        ndcg100.append(_ndcg(found[:100], len(wanted)))
        recalls.append(found[:20].sum() / min(20, len(wanted)))
        hits.append(found[:10].any())
    if not hits:
        raise NoTargets("nobody of the history likes a target")
    coverage = len(np.unique(ranks[:, :10])) / history.product_count
    means = [float(np.mean(values)) for values in (ndcg10, ndcg100, recalls, hits)]
    return Quality(means[0], means[1], means[2], means[3], coverage)


def _ndcg(found: NDArray[np.bool_], wanted: int) -> float:
    gains = 1 / np.log2(np.arange(2, len(found) + 2))
    return float(gains[found].sum() / gains[: min(wanted, len(found))].sum())


def lines(title: str, qualities: dict[int | None, Quality]) -> Iterator[str]:
    """A table of one method for a terminal, a line per level."""
    for level, quality in qualities.items():
        values = (quality.ndcg10, quality.ndcg100, quality.recall20, quality.hit10, quality.coverage)
        name = "all" if level is None else str(level)
        yield f"{title:16}{name:>6}" + "".join(f"{value:>11.4f}" for value in values)


HEAD = f"{'method':16}{'known':>6}" + "".join(
    f"{name:>11}" for name in ("NDCG@10", "NDCG@100", "Recall@20", "Hit@10", "Coverage")
)
