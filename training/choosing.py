"""Chooses the strengths of the tables on held-out people of the training data. Deterministic by seed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from training import rankings, slim
from training.co_likes import MIN_PEOPLE, Progress, count, ignore
from training.events import Events
from training.slim import Strength, Table, top

GRID = {
    "first": ((0.03, 0.1, 1.0), (0.06, 0.5, 2.0)),
    "few": ((0.06, 0.5, 2.0), (0.1, 0.1, 1.0), (0.1, 0.2, 2.0)),
    "many": ((0.06, 0.5, 2.0), (0.2, 0.2, 2.0), (0.4, 0.2, 2.0), (0.6, 0.3, 1.0)),
}
"""Share, l1 and l2 of each table."""
WALKS = {"first": (0.0, 0.03, 1.0, 3.0), "few": (0.0,), "many": (0.0,)}
LEVELS: dict[str, tuple[int | None, ...]] = {"first": (1, 3), "few": (5, 10), "many": (None,)}
DEFAULTS = {
    "first": Strength(0.06, 0.5, 2.0, 0.0),
    "few": Strength(0.06, 0.5, 2.0),
    "many": Strength(0.06, 0.5, 2.0),
}
"""For data of too few people to choose by; the best of the smallest set that was measured."""
MIN_HELD_OUT = 50
MAX_HELD_OUT, MAX_PEOPLE, MAX_PRODUCTS = 400, 20_000, 5_000
HELD_OUT_SHARE = 0.1
TARGET_SHARE = 0.4  # at most, the last days of a person: products of one basket are too easily guessed
MIN_EVENTS = 5  # of a person who is held out


@dataclass(frozen=True, slots=True)
class Choice:
    """`ndcg10`: of the chosen strength of each table on held-out people; empty if they were too few."""

    strengths: dict[str, Strength]
    ndcg10: dict[str, float]


def choose(events: Events, seed: int, *, jobs: int = 1, on_progress: Progress = ignore) -> Choice:
    """The best of the grid, by NDCG@10. Of large data a sample of the people, and their most liked products."""
    random = np.random.default_rng(seed)
    events = _sample(events, random)
    sizes = np.bincount(events.people, minlength=len(events.names))
    eligible = np.flatnonzero(sizes >= MIN_EVENTS)
    held = random.permutation(eligible)[: min(MAX_HELD_OUT, int(HELD_OUT_SHARE * len(eligible)))]
    if len(held) < MIN_HELD_OUT:
        return Choice(DEFAULTS, {})
    is_held = np.isin(events.people, held)
    is_target = is_held & (events.day_starts() >= (1 - TARGET_SHARE) * sizes[events.people])
    history = people_of(events, is_held & ~is_target)
    targets = people_of(events, is_target)
    likes = slim.capped(events.of(~is_held).likes())
    steps = slim.walk(likes, jobs)
    co_likes = count(likes, np.ones(likes.shape[0]), by_popularity=True, min_people=MIN_PEOPLE, jobs=jobs)
    strengths: dict[str, Strength] = {}
    found: dict[str, float] = {}
    done, total = 0, sum(map(len, GRID.values()))
    for kind, grid in GRID.items():
        for share, l1, l2 in grid:
            fitted = slim.fit(co_likes, Strength(share, l1, l2), jobs)
            for walk in WALKS[kind]:
                weights = fitted.weights + walk * steps if walk else fitted.weights
                table = Table(top(weights, slim.PER_SOURCE), fitted.biases)
                quality = float(np.mean([_ndcg10(kind, table, history, targets, level) for level in LEVELS[kind]]))
                if quality > found.get(kind, -1.0):
                    found[kind], strengths[kind] = quality, Strength(share, l1, l2, walk)
            done += 1
            on_progress(done / total)
    return Choice(strengths, found)


def _ndcg10(kind: str, table: Table, history: Events, targets: Events, level: int | None) -> float:
    ranks = rankings.rank(rankings.scorer({kind: table}), history, level, 10)
    return rankings.judge(ranks, history, targets).ndcg10


def _sample(events: Events, random: np.random.Generator) -> Events:
    if len(events.names) > MAX_PEOPLE:
        chosen = random.permutation(len(events.names))[:MAX_PEOPLE]
        events = people_of(events, np.isin(events.people, chosen))
    if events.product_count <= MAX_PRODUCTS:
        return events
    likes = np.bincount(events.products, minlength=events.product_count)
    kept = np.sort(np.argsort(-likes, kind="stable")[:MAX_PRODUCTS])
    place = np.full(events.product_count, -1)
    place[kept] = np.arange(len(kept))
    known = events.of(place[events.products] >= 0)
    return replace(known, products=place[known.products], product_count=len(kept))


def people_of(events: Events, which: NDArray[np.bool_]) -> Events:
    """These events, and only the people who have any."""
    chosen = events.of(which)
    people, places = np.unique(chosen.people, return_inverse=True)
    names = [events.names[person] for person in people]
    return replace(chosen, people=places, names=names)
