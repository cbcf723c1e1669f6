"""Scores quizzes, combines measurements of a person, and names their types. Formulas and sources: docs/quiz.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from math import inf, isfinite

from domain.answer_quality import Quality, assess
from domain.errors import Invalid, Stale
from domain.instruments import FormNorm, Instrument, Item, Pairs, TraitNorm
from domain.normal_models import Conditioned, expectation, innovations, product, root, spread, weighted

TRAITS = ("adventurous", "intellectual", "practical", "creative", "social")
BALANCED = "balanced"  # the primary type of a flat profile
MAX_SECONDARY = 2

PRIOR_VARIANCE = 10000 / 12  # of percentiles, which are uniform: what is known of somebody unmeasured
MIN_VARIANCE = 1.0
DRIFT_PER_YEAR = 50.0  # 2 * PRIOR_VARIANCE * (1 - 0.97): true scores a year apart correlate by about .97
MIN_QUALITY = 0.05  # so that a first, unread quiz still has a profile, one that says next to nothing

# The 68 % quantiles of chi-square with 1, 2, ... degrees of freedom.
HOMOGENEOUS = (0.99, 2.28, 3.51, 4.70, 5.86, 7.01, 8.15, 9.27, 10.39)


@dataclass(frozen=True, slots=True)
class Score:
    """`percentile` is 0..100, 50 the median person. `standard_error` is in points: of measurement for all items, of the
    deviation from the score of all items for fewer. `variance` is the square of both errors together."""

    percentile: float
    standard_error: float
    variance: float


@dataclass(frozen=True, slots=True)
class Result:
    """A scored quiz. `scores` lacks traits without an answer; `confidence` is 0..1."""

    scores: Mapping[str, Score]
    primary: str
    secondary: tuple[str, ...]
    confidence: float
    quality: Quality
    answers: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Measurement:
    """A quiz in the history; `quality` and `confidence` are 0..1."""

    at: datetime
    scores: Mapping[str, Score]
    quality: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Combined:
    scores: Mapping[str, Score]
    primary: str
    secondary: tuple[str, ...]
    confidence: float


@dataclass(frozen=True, slots=True)
class Change:
    """In points, from the first measurement to the newest."""

    change: float
    standard_error: float


def check(
    instrument: Instrument, version: str, answers: Sequence[tuple[str, int]], seconds: int | None
) -> dict[str, int]:
    """Validates answers to a whole quiz; returns them by code. The full form, the short form and whatever meets the
    minimums can be scored. Raises Stale for another version, Invalid for anything else."""
    given = check_answers(instrument, version, answers)
    if seconds is not None and seconds < 0:
        raise Invalid("The time cannot be negative.", ("completionTimeSeconds",))
    if instrument.short_form and instrument.short_form <= set(given):
        return given
    per_trait = {trait: sum(item.code in given for item in instrument.of(trait)) for trait in instrument.traits}
    if len(given) < instrument.min_answers or any(
        per_trait[trait] < least for trait, least in instrument.min_per_trait.items()
    ):
        least = ", ".join(f"{trait} {n}" for trait, n in instrument.min_per_trait.items())
        short = " Or answer all questions of the short form." if instrument.short_form else ""
        raise Invalid(
            f"Answer {instrument.min_answers} questions or more, and of each trait at least: {least}.{short}",
            ("answers",),
        )
    return given


def check_answers(instrument: Instrument, version: str, answers: Sequence[tuple[str, int]]) -> dict[str, int]:
    """Validates single answers, however few, as a draft holds them; returns them by code. Raises Stale or Invalid."""
    if version != instrument.version:
        raise Stale(f"The quiz has changed: version {instrument.version} is current.", ("version",))
    known = {item.code for item in instrument.items}
    given: dict[str, int] = {}
    for position, (code, value) in enumerate(answers):
        path = ("answers", str(position))
        if code not in known:
            raise Invalid("There is no such question in this version.", (*path, "questionId"))
        if code in given:
            raise Invalid("This question is answered twice.", (*path, "questionId"))
        if not _is_answer(instrument, value):
            raise Invalid(f"An answer is a number from {instrument.lowest} to {instrument.highest}.", (*path, "value"))
        given[code] = value
    return given


def _is_answer(instrument: Instrument, value: object) -> bool:
    return type(value) is int and instrument.lowest <= value <= instrument.highest


def score(instrument: Instrument, answers: Mapping[str, int], seconds: float | None) -> Result:
    """Scores answers by code. What is no answer, or to no item, is left out. The instrument must have norms."""
    given = {
        item.code: answers[item.code]
        for item in instrument.items
        if item.code in answers and _is_answer(instrument, answers[item.code])
    }
    scores = {}
    reliability = 0.0
    for trait in instrument.traits:
        items, norm = instrument.of(trait), instrument.norms[trait]
        keyed = {i: instrument.key(item, given[item.code]) for i, item in enumerate(items) if item.code in given}
        if keyed:
            scores[trait] = _score(items, norm, keyed)
            reliability += reliability_of(norm.full.alpha, len(keyed) / len(items)) / len(instrument.traits)
    quality = assess(instrument, given, seconds)
    primary, secondary = types(scores)
    return Result(scores, primary, secondary, round(quality.value * reliability, 4), quality, given)


def reliability_of(alpha: float, length: float) -> float:
    """The reliability of a test of `length` times the items (Spearman 1910; Brown 1910)."""
    return length * alpha / (1 + (length - 1) * alpha)


def _score(items: Sequence[Item], norm: TraitNorm, keyed: Mapping[int, int]) -> Score:
    """At the ends of the scale, where the table is flat, errors are small: there the variance is that of half the
    largest error, so that no measurement outweighs another by far just because it is extreme."""
    weights = [item.weight for item in items]
    mean = weighted(weights, list(keyed))
    floor = (max(error for _, error in norm.full.errors) / 2) ** 2
    raw = sum(mean[i] * value for i, value in keyed.items())
    if len(keyed) == len(items):
        percentile = interpolate(norm.full.percentiles, raw)
        error = interpolate(norm.full.errors, percentile)
        return _rounded(percentile, error, max(floor, error**2))
    if norm.short and set(keyed) == {i for i, item in enumerate(items) if item.is_short}:
        percentile = interpolate(norm.short.percentiles, raw)
        deviation = error = interpolate(norm.short.errors, percentile)
        of_measurement = interpolate(norm.full.errors, percentile)
    else:
        percentile, deviation = _estimate(norm, weighted(weights, range(len(items))), mean, raw)
        of_measurement = interpolate(norm.full.errors, percentile)
        error = max(deviation, of_measurement)  # fewer items are no more accurate than all
    return _rounded(percentile, error, deviation**2 + max(floor, of_measurement**2))


def _estimate(norm: TraitNorm, full: Sequence[float], some: Sequence[float], raw: float) -> tuple[float, float]:
    """The percentile of a subset of the items by linear equating (Kolen and Brennan 2014), and the root mean square of
    its deviation from the full form's percentile, under a joint normal model of the items."""
    centre, mean = (sum(w * m for w, m in zip(form, norm.means, strict=True)) for form in (full, some))
    variance, of_full = (product(form, norm.covariance, form) for form in (some, full))
    shared = product(full, norm.covariance, some)
    deviate = (raw - mean) / root(variance)
    percentile = interpolate(norm.full.percentiles, centre + deviate * root(of_full))
    expected = centre + shared / root(variance) * deviate
    rest = root(of_full - shared * shared / variance)
    square = expectation(lambda x: (interpolate(norm.full.percentiles, x) - percentile) ** 2, expected, rest)
    return percentile, root(square)


def _rounded(percentile: float, error: float, variance: float) -> Score:
    return Score(round(percentile, 2), round(error, 2), round(max(MIN_VARIANCE, variance), 2))


def interpolate(table: Pairs, x: float) -> float:
    """A value of a table between its rows; beyond them, that of the nearest."""
    if x <= table[0][0]:
        return table[0][1]
    for (x0, y0), (x1, y1) in pairwise(table):
        if x <= x1:
            return y0 + (x - x0) / (x1 - x0) * (y1 - y0)
    return table[-1][1]


def _finite(scores: Mapping[str, Score]) -> dict[str, Score]:
    """Without scores that are no numbers."""
    return {
        t: s
        for t, s in scores.items()
        if isfinite(s.percentile) and isfinite(s.standard_error) and 0 < s.variance < inf
    }


def types(scores: Mapping[str, Score]) -> tuple[str, tuple[str, ...]]:
    """The highest trait, and at most two more whose difference to it is within the error of the difference. BALANCED
    if all scores are alike: Cochran's (1954) test of homogeneity stays below its 68 % quantile."""
    scores = _finite(scores)
    if not scores:
        return BALANCED, ()
    ranked = sorted(scores, key=lambda trait: (-scores[trait].percentile, _place(trait)))
    weights = {trait: 1 / scores[trait].variance for trait in ranked}
    mean = sum(weights[trait] * scores[trait].percentile for trait in ranked) / sum(weights.values())
    spread_of = sum(weights[trait] * (scores[trait].percentile - mean) ** 2 for trait in ranked)
    if len(ranked) > 1 and spread_of <= HOMOGENEOUS[len(ranked) - 2]:
        return BALANCED, ()
    best = scores[ranked[0]]
    close = (
        trait
        for trait in ranked[1:]
        if best.percentile - scores[trait].percentile <= root(best.variance + scores[trait].variance)
    )
    return ranked[0], tuple(close)[:MAX_SECONDARY]


def _place(trait: str) -> tuple[int, str]:
    return (TRAITS.index(trait) if trait in TRAITS else len(TRAITS), trait)


def _drift(measurement: Measurement, newest: datetime) -> float:
    """The variance that true scores gain between a measurement and the newest one."""
    return DRIFT_PER_YEAR * (newest - measurement.at).total_seconds() / (365.25 * 86400)


def _inflated(measurement: Measurement, newest: datetime, square: float) -> float:
    """An error's square after the time since, and for the quality of the answers."""
    return (square + _drift(measurement, newest)) / max(MIN_QUALITY, measurement.quality) ** 2


def combine(measurements: Sequence[Measurement]) -> Combined:
    """The precision-weighted mean of all measurements, as of the newest; a weight is quality^2 / (variance + drift *
    years).

    Where measurements contradict each other, the standard error has the scatter that their variances do not explain
    (Birge 1932). Confidence adds up signal-to-noise ratios c / (1 - c), as Spearman-Brown does for parts of a test.
    There must be one measurement or more.
    """
    measurements = [replace(m, scores=_finite(m.scores)) for m in measurements]
    newest = max(measurement.at for measurement in measurements)
    scores: dict[str, Score] = {}
    for trait in sorted({trait for m in measurements for trait in m.scores}, key=_place):
        parts = [(m, m.scores[trait]) for m in measurements if trait in m.scores]
        weights = [1 / _inflated(m, newest, part.variance) for m, part in parts]
        total = sum(weights)
        percentile = sum(w * part.percentile for w, (_, part) in zip(weights, parts, strict=True)) / total
        error = sum(
            (w / total) ** 2 * _inflated(m, newest, part.standard_error**2)
            for w, (m, part) in zip(weights, parts, strict=True)
        )
        scatter = sum(w * (part.percentile - percentile) ** 2 for w, (_, part) in zip(weights, parts, strict=True))
        unexplained = max(0.0, scatter / max(1, len(parts) - 1) - 1) / total
        scores[trait] = Score(
            round(percentile, 2),
            round(root(min(PRIOR_VARIANCE, error + unexplained)), 2),
            round(min(PRIOR_VARIANCE, max(MIN_VARIANCE, 1 / total)), 2),
        )
    signal = 0.0
    for m in measurements:
        kept = min(0.999, max(0.0, m.confidence))
        signal += kept / (1 - kept) * PRIOR_VARIANCE / (PRIOR_VARIANCE + _drift(m, newest))
    primary, secondary = types(scores)
    return Combined(scores, primary, secondary, round(signal / (1 + signal), 4))


def share_of_newest(measurements: Sequence[Measurement]) -> float:
    """The weight of the newest measurement in their combination, 0..1: the mean over its traits."""
    newest = max(measurements, key=lambda measurement: measurement.at)
    shares = []
    for trait, score in newest.scores.items():
        total = sum(1 / _inflated(m, newest.at, m.scores[trait].variance) for m in measurements if trait in m.scores)
        shares.append(1 / _inflated(newest, newest.at, score.variance) / total)
    return round(sum(shares) / len(shares), 4) if shares else 0.0


def trend(measurements: Sequence[Measurement]) -> dict[str, Change]:
    """How each trait has changed: the weighted least-squares line through its measurements, from the first to the
    newest. Empty unless they were taken at different times."""
    measurements = [replace(m, scores=_finite(m.scores)) for m in measurements]
    changes = {}
    for trait in sorted({trait for m in measurements for trait in m.scores}, key=_place):
        points = [
            (
                (m.at - measurements[0].at).total_seconds(),  # seconds since 1970 would lose digits
                m.scores[trait].percentile,
                1 / _inflated(m, m.at, m.scores[trait].variance),
            )
            for m in measurements
            if trait in m.scores
        ]
        span = max(at for at, _, _ in points) - min(at for at, _, _ in points)
        if not span:
            continue
        total = sum(w for _, _, w in points)
        centre = sum(w * at for at, _, w in points) / total
        scatter = sum(w * (at - centre) ** 2 for at, _, w in points)
        mean = sum(w * percentile for _, percentile, w in points) / total
        slope = sum(w * (at - centre) * (percentile - mean) for at, percentile, w in points) / scatter
        changes[trait] = Change(round(slope * span, 2), round(span / root(scatter), 2))
    return changes


def next_item(instrument: Instrument, answers: Mapping[str, int]) -> Item | None:
    """The item left that says most about the person: the one that leaves the least variance of the full form's
    percentiles, given the answers so far. None if all are answered."""
    best: tuple[float, Item] | None = None
    for trait in instrument.traits:
        items, norm = instrument.of(trait), instrument.norms[trait]
        keyed = {
            i: float(instrument.key(item, answers[item.code]))
            for i, item in enumerate(items)
            if item.code in answers and _is_answer(instrument, answers[item.code])
        }
        left = [i for i in range(len(items)) if i not in keyed]
        if not left:
            continue
        full = weighted([item.weight for item in items], range(len(items)))
        known = innovations(norm.means, norm.covariance, keyed)
        gains = {i: _explained(known, full, i) for i in left}
        choice = max(left, key=lambda i: (gains[i], -i))
        gain = _gain(norm.full, known, full, gains[choice])
        if best is None or gain > best[0]:
            best = gain, items[choice]
    return best and best[1]


def _explained(known: Conditioned, full: Sequence[float], i: int) -> float:
    """The variance of the full form that an item explains beyond what is known."""
    shared = sum(w * c for w, c in zip(full, known.covariance[i], strict=True))
    return shared * shared / known.covariance[i][i]


def _gain(norm: FormNorm, known: Conditioned, full: Sequence[float], explained: float) -> float:
    """By how much the variance of the percentile falls."""
    mean = sum(w * m for w, m in zip(full, known.means, strict=True))
    variance = product(full, known.covariance, full)

    def after(rest: float) -> float:
        return spread(lambda x: interpolate(norm.percentiles, x), mean, root(rest))

    return after(variance) - after(variance - explained)


def feature_vector(scores: Mapping[str, Score]) -> dict[str, float]:
    """-1..1 by trait, for clustering and models: the lean from the median, shrunk by its reliability (Kelley 1947)."""
    return {
        trait: round((s.percentile - 50) / 50 * PRIOR_VARIANCE / (PRIOR_VARIANCE + s.variance), 4)
        for trait, s in _finite(scores).items()
    }


def segment(scores: Mapping[str, Score]) -> str:
    """The group of people with the same two leading traits, in the order of the traits, or the only leading one, or
    BALANCED."""
    primary, secondary = types(scores)
    return "+".join(sorted((primary, *secondary[:1]), key=_place))
