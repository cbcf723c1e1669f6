"""Chooses the strengths of the tables, and how they are served, on held-out people of the training data.
Deterministic by seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from training import rankings, slim
from training.co_likes import MIN_PEOPLE, Progress, count, ignore
from training.content import Content, none
from training.events import LIKED, Events
from training.rankings import Model, Serving
from training.slim import Strength, Table, top

GRID = {
    "first": ((0.03, 0.02, 1.0), (0.06, 0.5, 2.0)),
    "few": ((0.06, 0.5, 2.0), (0.1, 0.1, 1.0), (0.1, 0.2, 2.0)),
    "many": ((0.06, 0.5, 2.0), (0.2, 0.2, 2.0), (0.7, 0.3, 1.0)),
}
"""Share, l1 and l2 of each table."""
WALKS = {"first": (0.0, 0.03, 1.0, 3.0), "few": (0.0,), "many": (0.0,)}
CONTRASTS = {
    "first": ((1.0, 0.0, 1.0),),
    "few": ((1.0, 0.0, 1.0),),
    "many": ((1.0, 0.0, 1.0), (1.1, 0.05, 1.0), (1.1, 0.05, 2.0)),
}
"""Power, rarity and bias."""
SUPER_LIKES = (1.0, 1.25, 1.5, 2.0)
HALF_LIVES = (None, 365.0, 180.0, 90.0)
DISLIKES = (0.0, 0.25, 0.5)  # a whole like is worse than none by 10 events and more
BLENDS = (1.0, 0.9, 0.8, 0.7, 0.6)
LEVELS: dict[str, tuple[int | None, ...]] = {"first": (1, 3), "few": (5, 10), "many": (None,)}
DEFAULTS = {
    "first": Strength(0.06, 0.5, 2.0, 0.0),
    "few": Strength(0.06, 0.5, 2.0),
    "many": Strength(0.06, 0.5, 2.0),
}
DEFAULT_SERVING = Serving(dict.fromkeys(slim.KINDS, 0.8), 1.25, 365.0)
"""What is best or harmless on all sets that were measured."""
SPARSE_SERVING = replace(DEFAULT_SERVING, blend=dict.fromkeys(slim.KINDS, 0.5))
"""For data of too few people to choose by, with DEFAULTS: their weights name few products."""
BLEND_WITHOUT_WEIGHTS = 0.1  # as without a trained model
MIN_HELD_OUT = 50
MAX_HELD_OUT, MAX_PEOPLE, MAX_PRODUCTS = 1000, 20_000, 5_000
HELD_OUT_SHARE = 0.2
TARGET_SHARE = 0.4  # at most, the last days of a person: products of one basket are too easily guessed
RANDOM_TARGET_SHARE = 0.2  # of a person's events, where all are of one day
MIN_EVENTS = 5  # of a person who is held out
MIN_GAIN = 0.001  # of NDCG@10, for which a way of serving leaves the default


@dataclass(frozen=True, slots=True)
class Choice:
    """`ndcg10`: of the chosen strength of each table on held-out people, as it is served; empty if they were too
    few."""

    strengths: dict[str, Strength]
    ndcg10: dict[str, float] = field(default_factory=dict)
    serving: Serving = DEFAULT_SERVING


@dataclass(frozen=True, slots=True)
class _HeldOut:
    history: Events
    targets: Events
    content: Content

    def ndcg10(self, kind: str, table: Table, serving: Serving) -> float:
        """The mean over the lengths of history for which the table is used."""
        score = rankings.scorer(Model(dict.fromkeys(slim.KINDS, table), self.content, serving))
        found = [
            rankings.judge(rankings.rank(score, self.history, level, 10), self.history, self.targets).ndcg10
            for level in LEVELS[kind]
        ]
        return float(np.mean(found))


def choose(
    events: Events, seed: int, content: Content | None = None, *, jobs: int = 1, on_progress: Progress = ignore
) -> Choice:
    """The best of the grid, by NDCG@10. Of large data a sample of the people, and their most liked products."""
    random = np.random.default_rng(seed)
    events, content = _sample(events, none(events.product_count) if content is None else content, random, seed)
    sizes = np.bincount(events.people, minlength=len(events.names))
    eligible = events.by_standing(np.flatnonzero(sizes >= MIN_EVENTS), np.random.default_rng((seed, 1)))
    count_held = min(MAX_HELD_OUT, int(HELD_OUT_SHARE * len(eligible)))
    held = eligible[np.argsort(-random.random(len(eligible)), kind="stable")[:count_held]]
    if len(held) < MIN_HELD_OUT:
        return Choice(DEFAULTS, serving=SPARSE_SERVING)
    is_held = np.isin(events.people, held)
    is_target = is_held & _are_targets(events, sizes, random)
    known, wanted = events.people[is_held & ~is_target], events.people[is_target & (events.values >= LIKED)]
    if not np.isin(wanted, known).any():  # each swiped on one day only
        return Choice(DEFAULTS, serving=SPARSE_SERVING)
    held_out = _HeldOut(people_of(events, is_held & ~is_target), people_of(events, is_target), content)
    likes = slim.capped(events.of(~is_held).likes())
    steps = slim.walk(likes, jobs)
    co_likes = count(likes, slim.activity_weights(likes), by_popularity=True, min_people=MIN_PEOPLE, jobs=jobs)
    learned_alone = Serving(dict.fromkeys(slim.KINDS, 1.0), 1.0, None)
    strengths: dict[str, Strength] = {}
    tables: dict[str, Table] = {}
    found: dict[str, float] = {}
    done, total = 0, sum(map(len, GRID.values())) + 1
    for kind, grid in GRID.items():
        for share, l1, l2 in grid:
            fitted = slim.fit(co_likes, Strength(share, l1, l2), jobs)
            for walk, (power, rarity, bias) in product(WALKS[kind], CONTRASTS[kind]):
                strength = Strength(share, l1, l2, walk, power, rarity, bias)
                weights = slim.finished(fitted.weights, co_likes.likes, strength, steps)
                table = Table(top(weights, slim.PER_SOURCE), bias * fitted.biases)
                quality = held_out.ndcg10(kind, table, learned_alone)
                if quality > found.get(kind, -1.0):
                    found[kind], tables[kind], strengths[kind] = quality, table, strength
            done += 1
            on_progress(done / total)
    serving = _serving(held_out, tables, events, content)
    return Choice(strengths, {kind: held_out.ndcg10(kind, table, serving) for kind, table in tables.items()}, serving)


def _are_targets(events: Events, sizes: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.bool_]:
    """A person's last days; where all events are of one day, and so without a known order, any."""
    if np.ptp(events.days) == 0:
        return random.random(len(events.people)) < RANDOM_TARGET_SHARE
    is_last: NDArray[np.bool_] = events.day_starts() >= (1 - TARGET_SHARE) * sizes[events.people]
    return is_last


def _serving(held_out: _HeldOut, tables: Mapping[str, Table], events: Events, content: Content) -> Serving:
    """One value after the other, each left at its default unless another is better by MIN_GAIN."""

    def mean(serving: Serving) -> float:
        return float(np.mean([held_out.ndcg10(kind, table, serving) for kind, table in tables.items()]))

    best = DEFAULT_SERVING
    quality = mean(best)

    for super_like in SUPER_LIKES:
        serving = replace(best, super_like=super_like)
        if (tried := mean(serving)) > quality + MIN_GAIN:
            best, quality = serving, tried
    for half_life in HALF_LIVES if np.ptp(events.days) > 0 else ():
        serving = replace(best, half_life=half_life)
        if (tried := mean(serving)) > quality + MIN_GAIN:
            best, quality = serving, tried
    has_content = content.categories.nnz or content.brands.nnz or content.tags.nnz
    for name, values in (("dislike", DISLIKES), ("blend", BLENDS if has_content else ())):
        for kind, table in tables.items():
            of_kind = held_out.ndcg10(kind, table, best)
            for value in values:
                changed = {**getattr(best, name), kind: value}
                serving = replace(best, dislike=changed) if name == "dislike" else replace(best, blend=changed)
                if (tried := held_out.ndcg10(kind, table, serving)) > of_kind + MIN_GAIN:
                    best, of_kind = serving, tried
    return best


def _sample(events: Events, content: Content, random: np.random.Generator, seed: int) -> tuple[Events, Content]:
    if len(events.names) > MAX_PEOPLE:
        counting = events.by_standing(np.arange(len(events.names)), np.random.default_rng((seed, 2)))
        chosen = random.permutation(counting)[:MAX_PEOPLE]
        events = people_of(events, np.isin(events.people, chosen))
        events = replace(events, standing=np.ones(len(events.names)))  # it has had its say
    if events.product_count <= MAX_PRODUCTS:
        return events, content
    likes = np.bincount(events.products, events.trust, events.product_count)
    kept = np.sort(np.argsort(-likes, kind="stable")[:MAX_PRODUCTS])
    place = np.full(events.product_count, -1)
    place[kept] = np.arange(len(kept))
    known = events.of(place[events.products] >= 0)
    return replace(known, products=place[known.products], product_count=len(kept)), content.of(kept)


def people_of(events: Events, which: NDArray[np.bool_]) -> Events:
    """These events, and only the people who have any."""
    chosen = events.of(which)
    people, places = np.unique(chosen.people, return_inverse=True)
    names = [events.names[person] for person in people]
    return replace(chosen, people=places, names=names, standing=events.standing[people])
