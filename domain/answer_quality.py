"""Whether answers to an instrument look read: pace, variety, consistency and completeness, 0..1 each.

The indices are those of the literature on careless responding (Meade and Craig 2012; Curran 2016); the bounds are
chosen so that nearly all attentive people get 1: docs/quiz.md has the figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from math import sqrt

from domain.instruments import Instrument
from domain.normal_models import innovations, product, weighted

SLOWEST_UNREAD_SECONDS = 0.6  # an item
FASTEST_READ_SECONDS = 2.0
MAX_USUAL_SHARE = 0.6  # of the commonest answer
MAX_USUAL_RUN = 0.4  # of equal answers in a row, as a share of all
MIN_USUAL_RUN = 5
USUAL_DEVIATES = 1.5  # standard deviations of the misfit of attentive people
MAX_DEVIATES = 4.5


@dataclass(frozen=True, slots=True)
class Quality:
    """`value` is the product of the others; all are 0..1."""

    value: float
    pace: float
    variety: float
    consistency: float
    completeness: float


def assess(instrument: Instrument, answers: Mapping[str, int], seconds: float | None) -> Quality:
    """The quality of valid answers; none at all have quality 0. `seconds` is None if the time is unknown."""
    if not answers:
        return Quality(0.0, 0.0, 0.0, 0.0, 0.0)
    parts = (
        _pace(len(answers), seconds),
        _variety([answers[item.code] for item in instrument.items if item.code in answers]),
        _consistency(instrument, answers),
        _completeness(instrument, answers),
    )
    pace, variety, consistency, completeness = (round(part, 4) for part in parts)
    return Quality(round(pace * variety * consistency * completeness, 4), pace, variety, consistency, completeness)


def _falling(value: float, good: float, bad: float) -> float:
    """1 up to `good`, 0 from `bad` on, linear between."""
    return max(0.0, min(1.0, (bad - value) / (bad - good)))


def _pace(count: int, seconds: float | None) -> float:
    if seconds is None:
        return 1.0
    return 1 - _falling(seconds / count, SLOWEST_UNREAD_SECONDS, FASTEST_READ_SECONDS)


def _variety(given: list[int]) -> float:
    """Straight-lining: one answer that dominates, or a long run of it in the order of the items. Raw answers: with
    reverse-keyed items, nobody's traits ask for the same one throughout."""
    count = len(given)
    if count < MIN_USUAL_RUN:
        return 1.0
    share = max(given.count(value) for value in set(given)) / count
    run = max(len(list(group)) for _, group in groupby(given))
    usual = max(MIN_USUAL_RUN, MAX_USUAL_RUN * count)
    return min(_falling(share, MAX_USUAL_SHARE, 1.0), _falling(run, usual, count) if count > usual else 1.0)


def _consistency(instrument: Instrument, answers: Mapping[str, int]) -> float:
    """How well each trait's answers fit together, given its score.

    The squared Mahalanobis distance of a trait's k keyed answers is that of their mean (chi-square with 1 degree of
    freedom) plus that of the answers given their mean (k - 1): only the second counts, so that strong traits cost
    nothing. It grows with random answers, and with agreement to both of two opposite items.
    """
    misfit, freedom = 0.0, 0
    for trait, norm in instrument.norms.items():
        items = instrument.of(trait)
        keyed = {
            i: float(instrument.key(item, answers[item.code])) for i, item in enumerate(items) if item.code in answers
        }
        if len(keyed) < 2:
            continue
        mean = weighted([item.weight for item in items], list(keyed))
        surprise = sum(mean[i] * (value - norm.means[i]) for i, value in keyed.items())
        whole = innovations(norm.means, norm.covariance, keyed).distance
        misfit += max(0.0, whole - surprise * surprise / product(mean, norm.covariance, mean))
        freedom += len(keyed) - 1
    if not freedom:
        return 1.0
    # Wilson and Hilferty (1931): the cube root of chi-square over its degrees of freedom is nearly normal.
    variance = 2 / (9 * freedom)
    return _falling(((misfit / freedom) ** (1 / 3) - (1 - variance)) / sqrt(variance), USUAL_DEVIATES, MAX_DEVIATES)


def _completeness(instrument: Instrument, answers: Mapping[str, int]) -> float:
    """The share of the items answered; the short form is complete."""
    if instrument.short_form and instrument.short_form <= set(answers):
        return 1.0
    return len(answers) / len(instrument.items)
