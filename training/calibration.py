"""The probability that somebody likes a product: a logistic model on like rates and on what the tables say.

It is fitted on people whom the tables it uses have not seen, by histories of several lengths. Formulas:
docs/training.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training import slim
from training.choosing import people_of
from training.co_likes import MIN_PEOPLE, Progress, ignore
from training.events import LIKED, Events
from training.slim import Strength, Table, kind_of

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

LEVELS: dict[str, tuple[int | None, ...]] = {"first": (0, 1, 2, 3), "few": (4, 5, 7, 10), "many": (15, 30, None)}
"""How many events are known where the model of each kind of table is fitted; None: all."""
HELD_OUT_SHARE, MAX_HELD_OUT = 0.2, 2000
TARGET_SHARE = 0.2
MIN_EVENTS = 5  # of a person who is held out
RATE_PRIOR = 5.0  # imagined events of a person or a product
RIDGE = 1.0
BINS = 15


@dataclass(frozen=True, slots=True)
class Logistic:
    """`weights`: of the standardised features, the constant first."""

    weights: Floats
    means: Floats
    deviations: Floats

    def probabilities(self, features: Floats) -> Floats:
        """Of a like, a row of features each."""
        return _sigmoid(_standard(features, self.means, self.deviations) @ self.weights)


@dataclass(frozen=True, slots=True)
class Calibration:
    """`models`: one for each kind of table. `rates`: the smoothed like rate of each product."""

    models: dict[str, Logistic]
    rates: Floats
    mean_rate: float

    def probabilities(
        self, tables: Mapping[str, Table], history: Events, level: int | None, people: Places, products: Places
    ) -> Floats:
        """Of a like, for pairs of a person's and a product's place."""
        features = _features(self.rates, self.mean_rate, tables, history, level, people, products)
        return self.models[kind_of(level)].probabilities(features)


def fit(
    events: Events,
    strengths: Mapping[str, Strength],
    seed: int,
    *,
    jobs: int = 1,
    on_progress: Progress = ignore,
) -> Calibration:
    """Deterministic by seed. Only its features, not the tables that were trained for it, are kept."""
    random = np.random.default_rng(seed)
    sizes = np.bincount(events.people, minlength=len(events.names))
    eligible = np.flatnonzero(sizes >= MIN_EVENTS)
    held = random.permutation(eligible)[: min(MAX_HELD_OUT, int(HELD_OUT_SHARE * len(eligible)))]
    is_held = np.isin(events.people, held)
    is_target = is_held & (random.random(len(events.people)) < TARGET_SHARE)
    seen = events.of(~is_held)
    tables = slim.train(seen.likes(), strengths, jobs=jobs, min_people=MIN_PEOPLE, on_progress=on_progress)
    rates, mean = like_rates(seen)
    both = people_of(events, is_held)
    target_of_both = is_target[is_held]
    history, targets = both.of(~target_of_both), both.of(target_of_both)
    liked = (targets.values >= LIKED).astype(np.float64)
    known = np.bincount(history.people, minlength=len(history.names))
    models = {}
    for kind, levels in LEVELS.items():
        features, outcomes = [], []
        for level in levels:
            rows = known[targets.people] >= (level or 0)  # all who have so many
            people, products = targets.people[rows], targets.products[rows]
            features.append(_features(rates, mean, tables, history, level, people, products))
            outcomes.append(liked[rows])
        models[kind] = _logistic(np.concatenate(features), np.concatenate(outcomes))
    return Calibration(models, *like_rates(events))


def like_rates(events: Events) -> tuple[Floats, float]:
    """The smoothed share of likes of each product, by trust, and of all."""
    size = events.product_count
    everything = np.bincount(events.products, events.trust, size)
    likes = np.bincount(events.products, events.trust * (events.values >= LIKED), size)
    mean = float(likes.sum() / everything.sum()) if everything.sum() else 0.5
    return (likes + RATE_PRIOR * mean) / (everything + RATE_PRIOR), mean


def _features(
    rates: Floats,
    mean: float,
    tables: Mapping[str, Table],
    history: Events,
    level: int | None,
    people: Places,
    products: Places,
) -> Floats:
    """Log odds of the product's and of the person's like rate, and what likes and dislikes add to the score."""
    known = np.ones(len(history.people), bool) if level is None else history.places() < level
    is_like = history.values >= LIKED
    likes, dislikes = history.matrix(known & is_like), history.matrix(known & ~is_like)
    weights = tables[kind_of(level)].weights.tocsc()
    liked = np.asarray(likes.sum(axis=1), np.float64).ravel()
    events = liked + np.asarray(dislikes.sum(axis=1), np.float64).ravel()
    own = _logit((liked + RATE_PRIOR * mean) / (events + RATE_PRIOR))
    item = _logit(rates)[products]
    for_it, against_it = (np.zeros(len(people)) for _ in range(2))
    for start in range(0, len(people), 4096):
        part = slice(start, start + 4096)
        columns = weights[:, products[part]].T.tocsr()
        for_it[part] = np.asarray(likes[people[part]].multiply(columns).sum(axis=1)).ravel()
        against_it[part] = np.asarray(dislikes[people[part]].multiply(columns).sum(axis=1)).ravel()
    person = own[people]
    count = np.log1p(events)[people]
    share = (for_it + 0.05 * mean) / (for_it + against_it + 0.05)
    contrast = _logit(np.clip(share, 0.01, 0.99))
    return np.column_stack(
        [item, person, item * person, np.sqrt(for_it), np.sqrt(against_it), contrast, count, person * count]
    )


def _standard(features: Floats, means: Floats, deviations: Floats) -> Floats:
    scaled = (features - means) / np.where(deviations > 0, deviations, 1.0)
    return np.column_stack([np.ones(len(features)), scaled])


def _logistic(raw: Floats, liked: Floats) -> Logistic:
    """Ridge logistic regression by Newton's method."""
    means, deviations = raw.mean(axis=0), raw.std(axis=0)
    features = _standard(raw, means, deviations)
    weights = np.zeros(features.shape[1])
    ridge = np.full(features.shape[1], RIDGE)
    ridge[0] = 1e-3
    for _ in range(25):
        chance = _sigmoid(features @ weights)
        gradient = features.T @ (liked - chance) - ridge * weights
        curvature = (features * (chance * (1 - chance))[:, None]).T @ features + np.diag(ridge)
        step = np.linalg.solve(curvature, gradient)
        weights = weights + step
        if np.abs(step).max() < 1e-8:
            break
    return Logistic(weights, means, deviations)


def _logit(share: Floats) -> Floats:
    share = np.clip(share, 1e-4, 1 - 1e-4)
    odds: Floats = np.log(share / (1 - share))
    return odds


def _sigmoid(odds: Floats) -> Floats:
    chance: Floats = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
    return chance


def expected_error(chances: Floats, liked: Floats) -> float:
    """The expected calibration error over 15 bins of equal counts."""
    order = np.argsort(chances, kind="stable")
    bins = [part for part in np.array_split(order, BINS) if len(part)]
    return float(sum(len(part) * abs(chances[part].mean() - liked[part].mean()) for part in bins) / len(order))


def brier(chances: Floats, liked: Floats) -> float:
    """The mean squared error of the probabilities."""
    return float(np.mean((chances - liked) ** 2))
