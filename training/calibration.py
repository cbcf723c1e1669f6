"""Fits the probability that somebody likes a product: the model of `domain/confidence.py`, for arrays.

It is fitted on people whom the tables it uses have not seen, by histories of several lengths. Formulas:
docs/training.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
from numpy.typing import NDArray

from domain import confidence
from domain.confidence import CONTRAST_BOUNDS, CONTRAST_PRIOR, MAX_LOG_ODDS, RATE_BOUNDS, RATE_PRIOR
from training import slim
from training.choosing import people_of
from training.co_likes import MIN_PEOPLE, Progress, ignore
from training.events import LIKED, Events
from training.rankings import Serving, reach_of, reach_of_dislike
from training.signals import Signals, known
from training.slim import Strength, Table, kind_of

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
_Pairs = tuple[Floats, Floats, Floats]  # features, whether liked, and how much it counts

LEVELS: dict[str, tuple[int | None, ...]] = {"first": (0, 1, 2, 3), "few": (4, 5, 7, 10), "many": (15, 30, None)}
"""How many events are known where the model of each kind of table is fitted; None: all."""
HELD_OUT_SHARE, MAX_HELD_OUT = 0.2, 5000
TARGET_SHARE = 0.2
MIN_EVENTS = 5  # of a person who is held out
MIN_PAIRS = 200  # of a person and a target, to fit a model for a kind
MAX_TARGETS = 50  # of a person; of more, each counts less
RIDGE = 1.0
KNOTS = (0.1, 0.3, 0.5, 0.7, 0.9)  # shares of the pairs
BINS = 15


@dataclass(frozen=True, slots=True)
class Population:
    """Whom the probabilities are fitted for: people with so many events besides the targets, and so many liked targets.
    Liked targets are outcomes, so a number above 0 raises probabilities: right for people who were chosen like that, as
    those of data sets for evaluation are, and wrong for everybody."""

    min_known: int = 0
    min_liked_targets: int = 0


EVERYBODY = Population()


@dataclass(frozen=True, slots=True)
class Calibration:
    """`stored`: what serving reads. `rates`: the smoothed like rate of each product."""

    stored: confidence.Calibration
    rates: Floats
    serving: Serving

    def probabilities(self, tables: Mapping[str, Table], signals: Signals, people: Places, products: Places) -> Floats:
        """Of a like, for pairs of a person's and a product's place."""
        kinds = np.array([kind_of(int(count)) for count in signals.counts()])[people]
        chances = np.zeros(len(people))
        for kind in np.unique(kinds):
            rows = np.flatnonzero(kinds == kind)
            found = _features(self, tables[kind], signals, people[rows], products[rows])
            chances[rows] = _probabilities(self.stored, kind, found)
        return chances


def fit(
    events: Events,
    strengths: Mapping[str, Strength],
    serving: Serving,
    seed: int,
    *,
    population: Population = EVERYBODY,
    jobs: int = 1,
    on_progress: Progress = ignore,
) -> Calibration:
    """Deterministic by seed. Groups of people are held out in turn, until they are MAX_HELD_OUT or everybody: the mean
    depends on whom one draws. Only their features, not the tables that were trained for it, are kept. Kinds of which
    too little is known have no model."""
    random = np.random.default_rng(seed)
    rates, mean = like_rates(events)
    sizes = np.bincount(events.people, minlength=len(events.names))
    is_enough = sizes >= max(MIN_EVENTS, population.min_known + population.min_liked_targets)
    eligible = random.permutation(events.by_standing(np.flatnonzero(is_enough), np.random.default_rng((seed, 1))))
    is_target = random.random(len(events.people)) < TARGET_SHARE
    size = min(MAX_HELD_OUT, ceil(HELD_OUT_SHARE * len(eligible)))
    if not size:
        return Calibration(confidence.Calibration({}, mean), rates, serving)
    groups = [eligible[start : start + size] for start in range(0, min(len(eligible), MAX_HELD_OUT), size)]
    pairs: dict[str, list[_Pairs]] = {kind: [] for kind in LEVELS}
    for number, group in enumerate(groups):
        is_held = np.isin(events.people, group)
        seen = events.of(~is_held)
        advance = _part_of(on_progress, number, len(groups))
        tables = slim.train(seen.likes(), strengths, jobs=jobs, min_people=MIN_PEOPLE, on_progress=advance)
        unfitted = Calibration(confidence.Calibration({}, mean), like_rates(seen)[0], serving)
        both = people_of(events, is_held)
        for kind, found in _pairs(unfitted, tables, both, is_target[is_held], population):
            pairs[kind].append(found)
    models = {}
    for kind, parts in pairs.items():
        features, liked, importance = (np.concatenate(part) for part in zip(*parts, strict=True))
        if len(liked) >= MIN_PAIRS:
            models[kind] = _logistic(features, liked, importance / importance.mean())
    return Calibration(confidence.Calibration(models, mean), rates, serving)


def _part_of(on_progress: Progress, number: int, count: int) -> Progress:
    return lambda share: on_progress((number + share) / count)


def _pairs(
    unfitted: Calibration,
    tables: Mapping[str, Table],
    events: Events,
    is_target: NDArray[np.bool_],
    population: Population,
) -> Iterator[tuple[str, _Pairs]]:
    """By kind and number of known events, the pairs of a person and a target."""
    history, targets = events.of(~is_target), events.of(is_target)
    liked = (targets.values >= LIKED).astype(np.float64)
    counts = [np.bincount(which, minlength=len(events.names)) for which in (history.people, targets.people)]
    likes = np.bincount(targets.people, liked, minlength=len(events.names))
    is_judged = (counts[0] >= population.min_known) & (likes >= population.min_liked_targets)
    importance = MAX_TARGETS / np.maximum(counts[1], MAX_TARGETS)
    for kind, levels in LEVELS.items():
        for level in levels:
            signals = known(history, level)
            rows = np.flatnonzero(is_judged[targets.people] & _has(signals.counts(), kind, level)[targets.people])
            people, products = targets.people[rows], targets.products[rows]
            features = _features(unfitted, tables[kind], signals, people, products)
            yield kind, (features, liked[rows], importance[people])


def _has(counts: Places, kind: str, level: int | None) -> NDArray[np.bool_]:
    """Who has as many signals as are known at this level, and is served by this kind of table."""
    is_of_kind = np.array([kind_of(int(count)) == kind for count in counts])
    return is_of_kind if level is None else is_of_kind & (counts == level)


def like_rates(events: Events) -> tuple[Floats, float]:
    """The smoothed share of likes of each product, by trust, and of all."""
    size = events.product_count
    everything = np.bincount(events.products, events.trust, size)
    likes = np.bincount(events.products, events.trust * (events.values >= LIKED), size)
    mean = float(likes.sum() / everything.sum()) if everything.sum() else 0.5
    return (likes + RATE_PRIOR * mean) / (everything + RATE_PRIOR), mean


def _features(calibration: Calibration, table: Table, signals: Signals, people: Places, products: Places) -> Floats:
    """The FEATURES of `domain/confidence.py`, a row for each pair."""
    serving, mean = calibration.serving, calibration.stored.mean_rate
    strengths, is_like = signals.strengths(serving.super_like, serving.half_life), signals.values >= LIKED
    likes, dislikes = signals.matrix(strengths, is_like), signals.matrix(strengths, ~is_like)
    events = signals.counts().astype(np.float64)
    liked = np.bincount(signals.people[is_like], minlength=signals.people_count)
    own = _log_odds((liked + RATE_PRIOR * mean) / (events + RATE_PRIOR))
    product, person, count = _log_odds(calibration.rates)[products], own[people], np.log1p(events)[people]
    added, taken = (np.zeros(len(people)) for _ in range(2))
    reaches = np.array([reach_of(int(number)) for number in liked])[people]
    for reach in np.unique(reaches):
        columns_of = table.within(int(reach)).weights.tocsc()
        columns_of_dislikes = table.within(reach_of_dislike(int(reach))).weights.tocsc()
        rows = np.flatnonzero(reaches == reach)
        for start in range(0, len(rows), 4096):
            part = rows[start : start + 4096]
            for sums, sources, columns in ((added, likes, columns_of), (taken, dislikes, columns_of_dislikes)):
                from_sources = sources[people[part]].multiply(columns[:, products[part]].T.tocsr())
                sums[part] = np.asarray(from_sources.sum(axis=1)).ravel()
    share = (added + CONTRAST_PRIOR * mean) / (added + taken + CONTRAST_PRIOR)
    contrast = _log_odds(np.clip(share, *CONTRAST_BOUNDS))
    return np.column_stack(
        [product, person, product * person, np.sqrt(added), np.sqrt(taken), contrast, count, person * count]
    )


def _probabilities(calibration: confidence.Calibration, kind: str, features: Floats) -> Floats:
    model = calibration.models.get(kind)
    if model is None:
        odds = features[:, 0] + features[:, 1] - _log_odds(np.array([calibration.mean_rate]))
    else:
        straight = _standard(features, np.array(model.means), np.array(model.deviations)) @ np.array(model.weights)
        odds = _pieces(straight, np.array(model.knots)) @ np.array(model.curve)
    return _sigmoid(odds)


def _pieces(odds: Floats, knots: Floats) -> Floats:
    """What a curve of straight pieces multiplies, a row for each."""
    return np.column_stack([np.ones(len(odds)), odds, np.maximum(odds[:, None] - knots, 0.0)])


def _standard(features: Floats, means: Floats, deviations: Floats) -> Floats:
    scaled = (features - means) / np.where(deviations > 0, deviations, 1.0)
    return np.column_stack([np.ones(len(features)), scaled])


def _logistic(raw: Floats, liked: Floats, importance: Floats) -> confidence.Logistic:
    """Fits the features, and the curve to what they give; the straight one where it would not rise everywhere."""
    means = np.average(raw, axis=0, weights=importance)
    deviations = np.sqrt(np.average((raw - means) ** 2, axis=0, weights=importance))
    features = _standard(raw, means, deviations)
    weights = _newton(features, liked, importance)
    straight = features @ weights
    knots = np.quantile(straight, KNOTS)
    curve = _newton(_pieces(straight, knots), liked, importance)
    model = confidence.Logistic(*(tuple(map(float, values)) for values in (weights, means, deviations)))
    if (np.cumsum(curve[1:]) <= 0).any():
        return model
    return replace(model, curve=tuple(map(float, curve)), knots=tuple(map(float, knots)))


def _newton(features: Floats, liked: Floats, importance: Floats) -> Floats:
    """Weighted ridge logistic regression by Newton's method; the first feature is the constant."""
    weights = np.zeros(features.shape[1])
    ridge = np.full(features.shape[1], RIDGE)
    ridge[0] = 1e-3
    for _ in range(25):
        chance = _sigmoid(features @ weights)
        gradient = features.T @ (importance * (liked - chance)) - ridge * weights
        curvature = (features * (importance * chance * (1 - chance))[:, None]).T @ features + np.diag(ridge)
        step = np.linalg.solve(curvature, gradient)
        weights = weights + step
        if np.abs(step).max() < 1e-8:
            break
    return weights


def _log_odds(share: Floats) -> Floats:
    share = np.clip(share, *RATE_BOUNDS)
    odds: Floats = np.log(share / (1 - share))
    return odds


def _sigmoid(odds: Floats) -> Floats:
    chance: Floats = 1 / (1 + np.exp(-np.clip(odds, -MAX_LOG_ODDS, MAX_LOG_ODDS)))
    return chance


def expected_error(chances: Floats, liked: Floats) -> float:
    """The expected calibration error over 15 bins of equal counts."""
    order = np.argsort(chances, kind="stable")
    bins = [part for part in np.array_split(order, BINS) if len(part)]
    return float(sum(len(part) * abs(chances[part].mean() - liked[part].mean()) for part in bins) / len(order))


def brier(chances: Floats, liked: Floats) -> float:
    """The mean squared error of the probabilities."""
    return float(np.mean((chances - liked) ** 2))
