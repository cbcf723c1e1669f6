"""Rankings of people by a trained model, and how good they are.

`scores` is the formula by which feeds are ranked, without diversity and exploration: docs/training.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from domain.windows import WINDOW, Candidate, arrange
from training.content import Content, preferences
from training.events import LIKED, SUPER_LIKED, Events
from training.signals import Signals, known
from training.slim import KINDS, Table, kind_of

Floats = NDArray[np.float64]
Scorer = Callable[[Signals], Floats]
"""Scores of all products for people of whom these signals are known: a row per person."""
BATCH = 256  # people whose scores are in memory at a time
REACHES, LAST_REACH = ((10, 100), (30, 40), (100, 30)), 20  # up to so many likes, so many weights
PERSONALITY_PRIOR = 5.0  # as many signals weigh as much as the personality; a super-like is two


@dataclass(frozen=True, slots=True)
class Serving:
    """How a model is served. `blend`: the share of what was learned, for each kind of table; the rest is content.
    `super_like`: how many likes a super-like counts; `half_life`: of signals, in days; None: they do not age.
    `dislike`: how many likes a dislike counts in the learned sums, for each kind of table."""

    blend: Mapping[str, float]
    super_like: float
    half_life: float | None
    dislike: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(KINDS, 0.0))


@dataclass(frozen=True, slots=True)
class Model:
    """All that ranks."""

    tables: Mapping[str, Table]
    content: Content
    serving: Serving


def scores(model: Model, signals: Signals, personality: Floats | None = None) -> Floats:
    """Of all products by place, 0..1: a row per person. `personality`: how well each product suits each person, -1..1,
    if their personality is known."""
    counts, serving = signals.counts(), model.serving
    content = preferences(model.content, signals, signals.decay(serving.half_life))
    strengths, is_like = signals.strengths(serving.super_like, serving.half_life), signals.values >= LIKED
    likes, dislikes = signals.matrix(strengths, is_like), signals.matrix(strengths, ~is_like)
    kinds = np.array([kind_of(int(count)) for count in counts])
    reaches = np.array([reach_of(int(count)) for count in np.diff(likes.indptr)])
    found = np.zeros(content.shape)
    for kind, reach in sorted(set(zip(kinds.tolist(), reaches.tolist(), strict=True))):
        rows = np.flatnonzero((kinds == kind) & (reaches == reach))
        share = serving.blend[kind]
        learned = _learned(model.tables[kind], reach, likes[rows], serving.dislike[kind] * dislikes[rows])
        found[rows] = share * learned + (1 - share) * content[rows]
    if personality is not None:
        evidence = counts + np.bincount(signals.people[signals.values >= SUPER_LIKED], minlength=len(counts))
        rho = (PERSONALITY_PRIOR / (PERSONALITY_PRIOR + evidence))[:, None]
        found = rho * personality + (1 - rho) * found
    return np.round(0.5 + 0.5 * found, 9)


def reach_of(likes: int) -> int:
    """How many weights of each liked product are read, largest first, for somebody with so many likes."""
    return next((reach for limit, reach in REACHES if likes <= limit), LAST_REACH)


def reach_of_dislike(reach: int) -> int:
    """How many weights of each disliked product are read, where so many are of a liked one."""
    return reach // 2


def _learned(table: Table, reach: int, likes: sparse.csr_matrix, dislikes: sparse.csr_matrix) -> Floats:
    """What a table says of each product, 0..1: the bias and the sum of the weights from the person's signals, over the
    most that these could be together. Without any that counts, how many people like it, over the most. `likes` and
    `dislikes`: what each of them counts."""
    dislikes.eliminate_zeros()
    sums = np.asarray((likes @ table.within(reach).weights).todense(), np.float64)
    if dislikes.nnz:
        sums += (dislikes @ table.within(reach_of_dislike(reach)).weights).todense()
    most = table.biases.max(initial=0.0) + sums.max(axis=1, initial=0.0, keepdims=True)
    result: Floats = (table.biases + sums) / np.where(most > 0, most, 1.0)
    if table.shares is not None:
        is_known = (np.diff(likes.indptr) > 0) | (np.diff(dislikes.indptr) > 0)
        result[~is_known] = table.shares / max(table.shares.max(initial=0.0), 1e-12)
    return result


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


def scorer(model: Model) -> Scorer:
    """`scores` of this model, for `rank`."""
    return lambda signals: scores(model, signals)


def rank(
    score: Scorer,
    history: Events,
    level: int | None,
    size: int = 100,
    candidates: NDArray[np.bool_] | None = None,
    categories: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """The best products of every person by their first `level` events, of the candidates (None: of all) without any of
    their whole history: a row per person; of equals the first product. `categories`: of each product; the first window
    of each person is mixed by them, as feeds are, and has that of a feed if `size` is WINDOW or more."""
    signals = known(history, level)
    seen = history.matrix(np.ones(len(history.people), bool))
    size = min(size, history.product_count)
    batches = []
    for start in range(0, len(history.names), BATCH):
        found = score(signals.of_people(start, start + BATCH))
        rows, columns = seen[start : start + BATCH].nonzero()
        found[rows, columns] = -np.inf
        if candidates is not None:
            found[:, ~candidates] = -np.inf
        best = np.array([_best(row, size) for row in found])
        if categories is not None:
            best = np.array([_mixed(places, row, categories) for places, row in zip(best, found, strict=True)])
        batches.append(best)
    return np.concatenate(batches) if batches else np.zeros((0, size), np.int64)


def _best(values: Floats, size: int) -> NDArray[np.int64]:
    """The places of the largest values, in descending order; of equals the first place."""
    least = np.partition(values, len(values) - size)[len(values) - size]
    places = np.flatnonzero(values >= least)
    best: NDArray[np.int64] = places[np.argsort(-values[places], kind="stable")[:size]]
    return best


def _mixed(best: NDArray[np.int64], values: Floats, categories: NDArray[np.int64]) -> NDArray[np.int64]:
    """These places, the first window in the order of a feed that does not explore; none of them is a variant."""
    window = [
        Candidate(int(place), int(place), int(categories[place]), float(values[place])) for place in best[:WINDOW]
    ]
    order = [place.index for place in arrange(window, window[0].score, window[-1].score)]
    return np.concatenate([best[order], best[WINDOW:]])


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
