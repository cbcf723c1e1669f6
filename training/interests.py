"""Whether traits predict interests: ranks what held-out people of the Young People Survey like. See docs/interests.md.

Everybody is held out once: norms, popularity and weights come from the other people, and so does every choice between
models (an inner validation among them).
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from domain.instruments import Instrument
from training.norms import alpha, complete

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

TOP = 10
KNOWN = (0, 1, 3, 5, 10)  # how many of a person's answers the blend has seen
FOLDS, INNER_FOLDS = 10, 3
RIDGES = (3.0, 10.0, 30.0, 100.0)
NOISES = (0.1, 0.3, 1.0)
SHARES = (0.0, 0.5, 0.75, 1.0)
RESAMPLES = 4000


@dataclass(frozen=True, slots=True)
class Interest:
    """A column of ratings 1..5, and the slugs of the gift categories it speaks for."""

    name: str
    categories: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Survey:
    """`keyed` has a trait's answers in its direction, people x items; `means` is their mean, people x traits; `ratings`
    is people x interests. NaN stands for no answer. `gender` is 1, -1 or, where unknown, 0."""

    traits: tuple[str, ...]
    interests: tuple[Interest, ...]
    keyed: dict[str, Floats]
    means: Floats
    ratings: Floats
    gender: Floats

    def alphas(self) -> dict[str, float]:
        """Coefficient alpha of each trait, over the people who answered all of its items."""
        return {trait: alpha(complete(answers)) for trait, answers in self.keyed.items()}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Mean NDCG of two rankings of the same people; `difference` with its 95 % interval, relative to the first."""

    name: str
    first: float
    second: float
    difference: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Report:
    """`alone` compares with popularity, `blend` (one for each of KNOWN) with the same model without traits. `shares` is
    the mean weight of the traits' part that inner validation chose, `pull` how far traits move the predicted ratings,
    in units of what they do without any known answer."""

    people: int
    alone: Sequence[Comparison]
    blend: Sequence[Comparison]
    shares: Sequence[float]
    pull: Sequence[float]


def read_interests(path: Path) -> tuple[Interest, ...]:
    """Reads the columns `interest` and `categories` (slugs separated by spaces) of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(Interest(row["interest"], tuple(row["categories"].split())) for row in csv.DictReader(file))


def read_survey(path: Path, instrument: Instrument, interests: Sequence[Interest]) -> Survey:
    """Reads a CSV file, gzip or not, with a column per item and interest.

    People who answered too little, for a score or of the interests, are left out. Raises ValueError if a column is
    missing or nobody is left.
    """
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    needed = [item.code for item in instrument.items] + [interest.name for interest in interests]
    missing = [name for name in needed if not rows or name not in rows[0]]
    if missing:
        raise ValueError(f"{path.name} is not the Young People Survey: it has no column {', '.join(missing[:5])}")

    def column(name: str) -> Floats:
        values = [row[name].strip() for row in rows]
        numbers = np.array([float(value) if value else np.nan for value in values])
        numbers[(numbers < instrument.lowest) | (numbers > instrument.highest)] = np.nan
        return numbers

    keyed: dict[str, Floats] = {}
    for trait in instrument.traits:
        answers = [(item, column(item.code)) for item in instrument.of(trait)]
        keyed[trait] = np.array(
            [instrument.lowest + instrument.highest - a if item.is_reversed else a for item, a in answers]
        ).T
    ratings = np.array([column(interest.name) for interest in interests]).T
    answered = {trait: (~np.isnan(answers)).sum(axis=1) for trait, answers in keyed.items()}
    kept = (~np.isnan(ratings)).sum(axis=1) > max(KNOWN)
    kept &= np.sum(list(answered.values()), axis=0) >= instrument.min_answers
    for trait in instrument.traits:
        kept &= answered[trait] >= instrument.min_per_trait[trait]
    if not kept.any():
        raise ValueError(f"{path.name}: nobody answered enough")
    keyed = {trait: answers[kept] for trait, answers in keyed.items()}
    means = np.array([np.nanmean(keyed[trait], axis=1) for trait in instrument.traits]).T
    sign = {"female": 1.0, "male": -1.0}
    gender = np.array([sign.get(row.get("Gender", ""), 0.0) for row in rows])
    return Survey(instrument.traits, tuple(interests), keyed, means, ratings[kept], gender[kept])


def leans(norm: Floats, means: Floats) -> Floats:
    """Mid-rank percentiles among the people of `norm`, -1..1: what ranking reads as a person's lean."""
    result = np.empty_like(means)
    for trait in range(means.shape[1]):
        order = np.sort(norm[:, trait])
        below = np.searchsorted(order, means[:, trait], "left")
        result[:, trait] = (below + np.searchsorted(order, means[:, trait], "right")) / len(order) - 1
    return result


def ndcg(scores: Floats, ratings: Floats, candidates: NDArray[np.bool_]) -> Floats:
    """NDCG@10 of each person, with gains 2^(rating - 1) - 1 (Järvelin and Kekäläinen 2002; Burges et al. 2005)."""
    gains = np.where(candidates, 2.0 ** (np.nan_to_num(ratings, nan=1) - 1) - 1, 0.0)
    top = np.argsort(-np.where(candidates, scores, -np.inf), axis=1, kind="stable")[:, :TOP]
    discounts = 1 / np.log2(np.arange(2, top.shape[1] + 2))
    best = -np.sort(-gains, axis=1)[:, :TOP]
    total: Floats = (np.take_along_axis(gains, top, 1) * discounts).sum(axis=1)
    ideal: Floats = (best * discounts).sum(axis=1)
    return np.divide(total, ideal, out=np.ones_like(total), where=ideal > 0)


@dataclass(frozen=True, slots=True)
class Model:
    """Ratings as a multivariate normal whose mean depends on features: popularity + features * weights.

    What is known of a person updates the rest by the conditional mean, with the covariance of what the features leave
    unexplained. So with more known answers the features weigh less by themselves.
    """

    popularity: Floats
    weights: Floats
    covariance: Floats

    @classmethod
    def fit(cls, features: Floats, ratings: Floats, ridge: float, share: float) -> Model:
        """`share` 0..1 scales the weights; with 0 the features are not used at all."""
        popularity = np.asarray(np.nanmean(ratings, axis=0), dtype=np.float64)
        deviations = np.where(np.isnan(ratings), 0.0, ratings - popularity)
        gram = features.T @ features + ridge * np.eye(features.shape[1])
        weights = np.asarray(share * np.linalg.solve(gram, features.T @ deviations), dtype=np.float64)
        rest = deviations - features @ weights
        return cls(popularity, weights, rest.T @ rest / len(rest))

    def predict(self, features: Floats, ratings: Floats, known: Ints, noise: float) -> Floats:
        """Predicted ratings, people x interests. `known` is people x n: the interests whose ratings may be read.
        `noise` is added to their variance, in units of the mean variance, against overfitting the covariance."""
        prior: Floats = self.popularity + features @ self.weights
        if known.shape[1] == 0:
            return prior
        variance = self.covariance[known[:, :, None], known[:, None, :]]
        variance = variance + noise * np.diag(self.covariance).mean() * np.eye(known.shape[1])
        surprise = np.take_along_axis(ratings - prior, known, 1)
        pull = np.linalg.solve(variance, surprise[:, :, None])[:, :, 0]
        posterior: Floats = prior + np.einsum("pki,pk->pi", self.covariance[known], pull)
        return posterior


@dataclass(frozen=True, slots=True)
class _Task:
    """People with features, ratings and the order in which their answers become known."""

    features: Floats
    ratings: Floats
    order: Ints

    def of(self, people: Ints) -> _Task:
        return _Task(self.features[people], self.ratings[people], self.order[people])

    def score(self, scores: Floats, n: int) -> Floats:
        candidates = ~np.isnan(self.ratings)
        np.put_along_axis(candidates, self.order[:, :n], False, 1)
        return ndcg(scores, self.ratings, candidates)


Choice = tuple[float, float, float]  # ridge, noise, share


def _predict(train: _Task, test: _Task, n: int, choice: Choice) -> Floats:
    ridge, noise, share = choice
    model = Model.fit(train.features, train.ratings, ridge, share)
    return model.predict(test.features, test.ratings, test.order[:, :n], noise)


def _choose(task: _Task, n: int, choices: Sequence[Choice]) -> Choice:
    """The choice with the best NDCG in an inner validation; the first of equals."""
    if len(choices) == 1:
        return choices[0]
    people = np.arange(len(task.ratings))
    totals = np.zeros(len(choices))
    for fold in range(INNER_FOLDS):
        held = people % INNER_FOLDS == fold
        train, test = task.of(people[~held]), task.of(people[held])
        for position, choice in enumerate(choices):
            totals[position] += test.score(_predict(train, test, n, choice), n).sum()
    return choices[int(np.argmax(totals))]


def compare(name: str, first: Floats, second: Floats, seed: int) -> Comparison:
    """Compares the NDCG of the same people; the interval is a paired bootstrap over people (Efron 1979)."""
    weights = np.random.default_rng(seed).multinomial(len(first), np.full(len(first), 1 / len(first)), RESAMPLES)
    ratios = (weights @ second) / (weights @ first) - 1
    lower, upper = np.percentile(ratios, (2.5, 97.5))
    difference = second.mean() / first.mean() - 1
    return Comparison(name, float(first.mean()), float(second.mean()), float(difference), float(lower), float(upper))


def evaluate(survey: Survey, seed: int = 1) -> Report:
    """Ranks the interests of everybody once, by models that have not seen them."""
    random = np.random.default_rng(seed)
    count = len(survey.ratings)
    # Unanswered interests come last, so they are never among the known ones.
    order = np.argsort(np.where(np.isnan(survey.ratings), 2.0, random.random(survey.ratings.shape)), axis=1)
    folds = np.array_split(random.permutation(count), FOLDS)
    results: dict[tuple[str, int], Floats] = {}
    shares: dict[int, list[float]] = {n: [] for n in KNOWN}
    pull: dict[int, list[float]] = {n: [] for n in KNOWN}

    def note(name: str, n: int, people: Ints, values: Floats) -> None:
        results.setdefault((name, n), np.zeros(count))[people] = values

    for held in folds:
        rest = np.setdiff1d(np.arange(count), held)
        random.shuffle(rest)
        norm = survey.means[rest]
        traits = _Task(leans(norm, survey.means), survey.ratings, order)
        gender = _Task(survey.gender[:, None], survey.ratings, order)
        both = _Task(np.hstack([traits.features, gender.features]), survey.ratings, order)
        ridge = 0.0
        for name, task in (("gender", gender), ("both", both), ("traits", traits)):
            train, test = task.of(rest), task.of(held)
            ridge = _choose(train, 0, [(value, 0.0, 1.0) for value in RIDGES])[0]
            note(name, 0, held, test.score(_predict(train, test, 0, (ridge, 0.0, 1.0)), 0))
        train, test = traits.of(rest), traits.of(held)
        for n in KNOWN:
            noises = NOISES if n else (0.0,)
            plain = _choose(train, n, [(ridge, noise, 0.0) for noise in noises])
            blend = _choose(train, n, [(ridge, noise, share) for noise, share in product(noises, SHARES)])
            without, with_traits = _predict(train, test, n, plain), _predict(train, test, n, blend)
            note("without", n, held, test.score(without, n))
            note("with", n, held, test.score(with_traits, n))
            shares[n].append(blend[2])
            unused = _predict(train, test, n, (*blend[:2], 0.0))
            pull[n].append(float(np.sqrt(np.mean((with_traits - unused) ** 2))))
    popularity = results["without", 0]
    return Report(
        people=count,
        alone=(
            compare("traits", popularity, results["traits", 0], seed),
            compare("gender", popularity, results["gender", 0], seed),
            compare("traits beyond gender", results["gender", 0], results["both", 0], seed),
        ),
        blend=tuple(compare(str(n), results["without", n], results["with", n], seed) for n in KNOWN),
        shares=tuple(float(np.mean(shares[n])) for n in KNOWN),
        pull=tuple(float(np.mean(pull[n]) / np.mean(pull[0])) for n in KNOWN),
    )
