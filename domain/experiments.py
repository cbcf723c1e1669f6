"""Experiments: who is in which arm, and what an experiment says. Pure; docs/experiments.md explains the figures."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

NORMAL_95 = 1.959963984540054  # two-sided 95 % of the normal distribution
SAMPLE_RATIO_ALARM = 0.001
MIN_EFFECTIVE_SAMPLE = 500


@dataclass(frozen=True, slots=True)
class Arm:
    """`number` is unique among all experiments. `parameters` override those of the model."""

    number: int
    name: str
    share: float
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Experiment:
    """`surface` is what the arms rank; None if they are the front end's."""

    key: str
    surface: str | None
    seed: UUID
    allocation: float
    starts_at: datetime
    ends_at: datetime | None
    arms: Sequence[Arm]

    def is_running(self, at: datetime) -> bool:
        return self.starts_at <= at and (self.ends_at is None or at < self.ends_at)

    def arm_of(self, unit: UUID) -> Arm | None:
        """The arm of a person, always the same; None if the person is not in the experiment. Two independent hashes, so
        that the allocation does not decide on the arm."""
        if _fraction(self.seed, "allocation", unit) >= self.allocation:
            return None
        point = _fraction(self.seed, "arm", unit) * math.fsum(arm.share for arm in self.arms)
        for arm in self.arms:
            point -= arm.share
            if point < 0:
                return arm
        return self.arms[-1]


def _fraction(seed: UUID, purpose: str, unit: UUID) -> float:
    """0 <= x < 1, uniform over units."""
    digest = hashlib.sha256(f"{seed}:{purpose}:{unit}".encode()).digest()
    return (int.from_bytes(digest[:8]) >> 11) / (1 << 53)


def override_errors(overrides: Mapping[str, Any], defaults: Mapping[str, Any], path: str = "") -> list[str]:
    """What is wrong with overrides of a model's parameters: unknown names, and values of another kind."""
    found = []
    for name, value in overrides.items():
        where = f"{path}.{name}" if path else name
        if name not in defaults:
            found.append(f"{where} is no parameter; there are {', '.join(sorted(defaults))}")
        elif isinstance(defaults[name], Mapping):
            if isinstance(value, Mapping):
                found += override_errors(value, defaults[name], where)
            else:
                found.append(f"{where} is a group of parameters: give an object")
        elif _kind(value) != _kind(defaults[name]):
            found.append(f"{where} is {_kind(value)}; give {_kind(defaults[name])}")
        elif _kind(value) == "a number":
            low, high = _bounds(path, name, defaults[name])
            if not low <= value <= high:
                found.append(f"{where} is {value:g}; give {low:g} to {high:g}")
    return found


ADD_UP = ("discover", "gift_finder", "similar")  # parts of a score, which stays in 0..1 while none is raised
BOUNDS = {
    "half_life_days": (1.0, 10_000.0), "prior_weight": (0.1, 100.0), "personality_events": (0.1, 1_000.0),
    "boost": (0.0, 0.5), "dislike": (0.0, 1.0), "match_scale": (0.0, 2.0), "length": (1.0, 1_000.0),
    "new_days": (0.0, 365.0), "minimum_signals": (1.0, 1_000.0), "threshold": (0.0, 100.0),
    "quiz_variance": (1.0, 10_000.0), "prior_variance": (1.0, 10_000.0), "swipe_variance": (1.0, 100_000.0),
    "method_variance": (0.0, 10_000.0),
}  # fmt: skip
"""Of numbers that are no shares."""


def _bounds(path: str, name: str, default: float) -> tuple[float, float]:
    if name in BOUNDS:
        return BOUNDS[name]
    return (0.0, default) if path in ADD_UP else (0.0, 1.0)


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case dict():
            return "an object"
        case _:
            return "null"


@dataclass(frozen=True, slots=True)
class Estimate:
    """`low` and `high` are the bounds of the 95 % interval."""

    value: float
    error: float

    @property
    def low(self) -> float:
        return self.value - NORMAL_95 * self.error

    @property
    def high(self) -> float:
        return self.value + NORMAL_95 * self.error

    def minus(self, other: Estimate) -> Estimate:
        """The difference of two independent estimates."""
        return Estimate(self.value - other.value, math.hypot(self.error, other.error))


def ratio(people: int, n: float, y: float, nn: float, ny: float, yy: float) -> Estimate | None:
    """sum of y / sum of n, and its standard error by the delta method with people as units (Deng, Knoblich and Lu 2018,
    "Applying the Delta Method in Metric Analytics"): impressions of one person depend on each other. From sums over
    people; None for fewer than two people."""
    if people < 2 or n <= 0:
        return None
    value = y / n
    # The residuals y - value * n sum to 0.
    variance = max(0.0, yy - 2 * value * ny + value * value * nn) / (people - 1)
    return Estimate(value, math.sqrt(variance * people) / n)


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Pearson's chi-square test of the numbers of people per arm against the shares."""

    statistic: float
    p: float

    @property
    def is_alarming(self) -> bool:
        return self.p < SAMPLE_RATIO_ALARM


def sample_ratio(people: Sequence[int], shares: Sequence[float]) -> SampleRatio:
    """Whether the arms have the people that they should: one that loses some is not to be trusted (Fabijan et al. 2019,
    "Diagnosing Sample Ratio Mismatch in Online Controlled Experiments")."""
    total, whole = sum(people), math.fsum(shares)
    if total == 0 or len(people) < 2:
        return SampleRatio(0.0, 1.0)
    expected = [total * share / whole for share in shares]
    statistic = math.fsum((found - wanted) ** 2 / wanted for found, wanted in zip(people, expected, strict=True))
    return SampleRatio(statistic, chi_square_tail(statistic, len(people) - 1))


def chi_square_tail(x: float, degrees: int) -> float:
    """The probability that a chi-square variable exceeds x, for whole degrees of freedom: the recurrence Q(a + 1, y) =
    Q(a, y) + y^a e^-y / gamma(a + 1) (Abramowitz and Stegun 1964, 6.5.21), from Q(1/2, y) = erfc(sqrt y) or Q(1, y) =
    e^-y."""
    y = x / 2
    if y <= 0:
        return 1.0
    a, tail = (0.5, math.erfc(math.sqrt(y))) if degrees % 2 else (1.0, math.exp(-y))
    while a < degrees / 2:
        tail += math.exp(a * math.log(y) - y - math.lgamma(a + 1))
        a += 1
    return min(1.0, tail)


@dataclass(frozen=True, slots=True)
class OffPolicy:
    """The mean reward that slots would have if all their candidates were equally likely."""

    effective_sample: float
    estimate: Estimate | None  # None if the effective sample is too small


def off_policy(w: float, ww: float, wy: float, wwy: float) -> OffPolicy:
    """The self-normalised estimate of inverse propensity weighting (Swaminathan and Joachims 2015) of a reward of 0 or
    1, with weights w = 1 / propensity, from their sums: of w, w^2, and both over the rewarded. The effective sample
    size is (sum of w)^2 / sum of w^2 (Kish 1965)."""
    effective = w * w / ww if ww > 0 else 0.0
    if effective < MIN_EFFECTIVE_SAMPLE:
        return OffPolicy(effective, None)
    value = wy / w
    # sum of w^2 (r - value)^2, with r^2 = r
    variance = max(0.0, wwy * (1 - 2 * value) + value * value * ww) / (w * w)
    return OffPolicy(effective, Estimate(value, math.sqrt(variance)))
