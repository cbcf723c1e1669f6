"""An instrument for tests: five traits, a short form of eight items, and norms that are exactly symmetric."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist

from domain.instruments import FormNorm, Instrument, Item, TraitNorm, parse, with_norms
from domain.personality import TRAITS, interpolate

PER_TRAIT = 4
CORRELATION = 0.4  # of any two items of a trait
SHORT_TWICE = TRAITS[:3]  # these have two items in the short form, the others one

DOCUMENT = {
    "code": "example",
    "version": "1.0",
    "lowest": 1,
    "highest": 5,
    "min_answers": 10,
    "traits": [{"name": trait, "min_answers": 2} for trait in TRAITS],
    "items": [
        {
            "code": f"{trait[:3]}-{number}",
            "trait": trait,
            "reversed": number in (2, 4),
            "short": number == 1 or (number == 2 and trait in SHORT_TWICE),
            "texts": {"en": f"I am {trait}, {number}."},
        }
        for number in range(1, PER_TRAIT + 1)
        for trait in TRAITS
    ],
    "options": {"en": {str(value): f"Answer {value}" for value in range(1, 6)}},
}


def form(items: int) -> FormNorm:
    """The norm of a mean of parallel items with mean 3 and variance 1."""
    sd = sqrt((1 + (items - 1) * CORRELATION) / items)
    alpha = items * CORRELATION / (1 + (items - 1) * CORRELATION)
    normal = NormalDist(3, sd)
    means = [1 + step / items for step in range(4 * items + 1)]
    percentiles = tuple((x, 100 * normal.cdf(x)) for x in means)
    error = sd * sqrt(1 - alpha)
    errors = tuple(
        (p, (interpolate(percentiles, x + error) - interpolate(percentiles, x - error)) / 2) for x, p in percentiles
    )
    return FormNorm(3.0, sd, alpha, percentiles, errors)


def norms(instrument: Instrument) -> dict[str, TraitNorm]:
    def of(items: tuple[Item, ...]) -> TraitNorm:
        size = len(items)
        short = sum(item.is_short for item in items)
        return TraitNorm(
            n=1000,
            is_provisional=True,
            full=form(size),
            short=form(short) if 0 < short < size else None,
            means=(3.0,) * size,
            covariance=tuple(tuple(1.0 if i == j else CORRELATION for j in range(size)) for i in range(size)),
        )

    return {trait: of(instrument.of(trait)) for trait in instrument.traits}


EXAMPLE = with_norms(parse(DOCUMENT).instrument, norms(parse(DOCUMENT).instrument))
