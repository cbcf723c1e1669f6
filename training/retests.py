"""Test-retest reliability from the assessments that people took more than once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

MIN_PEOPLE = 3  # a correlation of two is always 1


@dataclass(frozen=True, slots=True)
class Pair:
    """The first and the last quiz of a person: percentiles by trait, and when they were taken."""

    first: Mapping[str, float]
    last: Mapping[str, float]
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Retest:
    """The correlation of first and last percentiles; NaN for fewer than three people, or if all are equal."""

    trait: str
    people: int
    correlation: float
    days: float


def retest(traits: Sequence[str], pairs: Sequence[Pair]) -> list[Retest]:
    """A row per trait that anybody has twice; `days` is the median interval."""
    rows = []
    for trait in traits:
        both = [pair for pair in pairs if trait in pair.first and trait in pair.last]
        if not both:
            continue
        values = np.array([(pair.first[trait], pair.last[trait]) for pair in both])
        varies = len(both) >= MIN_PEOPLE and bool(values.std(axis=0).all())
        rows.append(
            Retest(
                trait,
                len(both),
                float(np.corrcoef(values.T)[0, 1]) if varies else float("nan"),
                float(np.median([(pair.last_at - pair.first_at).total_seconds() / 86400 for pair in both])),
            )
        )
    return rows
