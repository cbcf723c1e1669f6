"""Norms of an instrument from people's answers: percentile tables, reliabilities and errors. Formulas: docs/quiz.md."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from domain.instruments import MAX_TABLE, FormNorm, Instrument, Item, Pairs, TraitNorm
from domain.personality import interpolate
from training.responses import Matrix, Responses

MIN_PEOPLE = 500
DIGITS = 6
BANDWIDTH = 3.0  # in points: how far the errors of the short form are smoothed along the percentile
MIN_IN_KERNEL = 50  # people
COVERAGE = 0.6827  # of a normal distribution within its standard deviation


class TooFewPeople(ValueError):
    """These answers give no norms; the message says why."""


def estimate(instrument: Instrument, responses: Responses, *, is_provisional: bool) -> dict[str, TraitNorm]:
    """Norms from everybody who answered all items of a trait. Raises TooFewPeople if they are too few, or do not
    differ on an item."""
    return {
        trait: of_trait(
            instrument,
            instrument.of(trait),
            complete(responses.keyed(instrument, trait)),
            is_provisional=is_provisional,
        )
        for trait in instrument.traits
    }


def of_trait(instrument: Instrument, items: tuple[Item, ...], keyed: Matrix, *, is_provisional: bool) -> TraitNorm:
    """The norms of a trait with these items, some of which may be marked as its short form, from complete answers."""
    if len(keyed) < MIN_PEOPLE:
        raise TooFewPeople(f"{len(keyed)} people answered all items of {items[0].trait}; norms need {MIN_PEOPLE}")
    still = [item.code for item, sd in zip(items, keyed.std(axis=0), strict=True) if not sd]
    if still:
        raise TooFewPeople(f"everybody gave the same answer to {', '.join(still)}")
    full = _form(instrument, items, keyed)
    short = [i for i, item in enumerate(items) if item.is_short]
    is_partial = 0 < len(short) < len(items)
    covariance = np.atleast_2d(np.cov(keyed, rowvar=False)).round(DIGITS)
    return TraitNorm(
        n=len(keyed),
        is_provisional=is_provisional,
        full=full,
        short=_short_form(instrument, items, keyed, full) if is_partial else None,
        means=tuple(keyed.mean(axis=0).round(DIGITS).tolist()),
        covariance=tuple(tuple(row) for row in covariance.tolist()),
    )


def complete(values: Matrix) -> Matrix:
    """The rows without a missing value."""
    return values[~np.isnan(values).any(axis=1)]


def look_up(table: Pairs, values: Matrix) -> Matrix:
    """interpolate() of many values."""
    xs, ys = zip(*table, strict=True)
    found: Matrix = np.interp(values, np.array(xs), np.array(ys))
    return found


def raw_scores(items: tuple[Item, ...], keyed: Matrix) -> Matrix:
    """The weighted mean of each person's keyed answers."""
    weights = np.array([item.weight for item in items])
    scores: Matrix = (keyed @ weights / weights.sum()).round(DIGITS)
    return scores


def alpha_of(items: tuple[Item, ...], keyed: Matrix) -> float:
    """Coefficient alpha of the weighted items."""
    return alpha(keyed * np.array([item.weight for item in items]))


def alpha(parts: Matrix) -> float:
    """Coefficient alpha (Cronbach 1951) of people x items; of one item, NaN."""
    size = parts.shape[1]
    if size < 2:
        return float("nan")
    return float(size / (size - 1) * (1 - parts.var(axis=0, ddof=1).sum() / parts.sum(axis=1).var(ddof=1)))


def _form(instrument: Instrument, items: tuple[Item, ...], keyed: Matrix) -> FormNorm:
    raw = raw_scores(items, keyed)
    alpha = round(float(np.clip(alpha_of(items, keyed), 0, 0.999)), DIGITS) if len(items) > 1 else 0.0
    percentiles = midranks(raw, instrument.lowest, instrument.highest)
    sd = round(float(raw.std(ddof=1)), DIGITS)
    return FormNorm(
        round(float(raw.mean()), DIGITS), sd, alpha, percentiles, measurement_errors(percentiles, sd, alpha)
    )


def midranks(raw: Matrix, lowest: float, highest: float) -> Pairs:
    """A table from score to mid-rank percentile: the share below plus half of the share at it. It ends at the lowest
    and the highest score possible, whether observed or not."""
    values, counts = np.unique(raw, return_counts=True)
    if len(values) > MAX_TABLE - 2:  # of weighted items: the closest to evenly spaced percentiles
        kept = np.unique(
            np.searchsorted(np.cumsum(counts), np.linspace(0, len(raw), MAX_TABLE - 2)).clip(0, len(values) - 1)
        )
    else:
        kept = np.arange(len(values))
    ranks = 100 * (np.cumsum(counts) - counts / 2) / len(raw)
    table = list(zip(values[kept].tolist(), ranks[kept].round(DIGITS).tolist(), strict=True))
    if table[0][0] > lowest:
        table.insert(0, (float(lowest), 0.0))
    if table[-1][0] < highest:
        table.append((float(highest), 100.0))
    return tuple(table)


def measurement_errors(percentiles: Pairs, sd: float, alpha: float) -> Pairs:
    """The standard error of measurement, sd * sqrt(1 - alpha) (Lord and Novick 1968), in points at each percentile:
    half the distance of the percentiles one error above and below."""
    error = sd * (1 - alpha) ** 0.5
    table = [
        (p, round((interpolate(percentiles, x + error) - interpolate(percentiles, x - error)) / 2, DIGITS))
        for x, p in percentiles
    ]
    return (table[0], *(after for before, after in pairwise(table) if after[0] > before[0]))


def _short_form(instrument: Instrument, items: tuple[Item, ...], keyed: Matrix, full: FormNorm) -> FormNorm:
    columns = [i for i, item in enumerate(items) if item.is_short]
    chosen = tuple(items[i] for i in columns)
    norm = _form(instrument, chosen, keyed[:, columns])
    if len(chosen) == 1:  # one item has no alpha: its reliability follows from that of the full form
        length = 1 / len(items)
        reliability = length * full.alpha / (1 + (length - 1) * full.alpha)
        norm = FormNorm(norm.mean, norm.sd, round(reliability, DIGITS), norm.percentiles, norm.errors)
    short = look_up(norm.percentiles, raw_scores(chosen, keyed[:, columns]))
    whole = look_up(full.percentiles, raw_scores(items, keyed))
    return FormNorm(norm.mean, norm.sd, norm.alpha, norm.percentiles, deviations(short, whole))


def deviations(short: Matrix, whole: Matrix) -> Pairs:
    """A table from the short form's percentile to the deviation that 68 % of its people stay within.

    For normal deviations that is the standard deviation. Near the ends of the scale they are far from normal, and the
    standard deviation would cover 77 %. Neighbours count by a Gaussian kernel, which widens until it holds enough
    people; people at the quantile itself count half, as deviations take few values.
    """
    sizes, where = np.unique(np.abs(short - whole).round(DIGITS), return_inverse=True)
    table = []
    for at in np.unique(short):
        bandwidth = BANDWIDTH
        while (kernel := np.exp(-0.5 * ((short - at) / bandwidth) ** 2)).sum() < MIN_IN_KERNEL:
            bandwidth *= 1.5
        mass = np.bincount(where, weights=kernel)
        below = (np.cumsum(mass) - mass / 2) / mass.sum()
        table.append((round(float(at), DIGITS), round(float(np.interp(COVERAGE, below, sizes)), DIGITS)))
    return tuple(table)
