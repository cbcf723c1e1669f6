"""How well an instrument measures: statistics of items and scales, and how its norms fare on held-out people.

Norms are estimated on one half of the people and judged on the other. Formulas and sources: docs/quiz.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from domain.instruments import Instrument, Item, TraitNorm, with_norms
from domain.personality import next_item, score
from training import norms
from training.responses import Matrix, Responses

THIRDS = ((0.0, 100 / 3), (100 / 3, 200 / 3), (200 / 3, 100.0))


class BadForm(ValueError):
    """A short form cannot be evaluated; the message says why."""


@dataclass(frozen=True, slots=True)
class ItemStatistics:
    """Of the answers as given; `total` is the correlation of the keyed answer with the sum of the trait's other items,
    NaN if there are none."""

    code: str
    trait: str
    is_reversed: bool
    n: int
    missing: int
    mean: float
    sd: float
    total: float


@dataclass(frozen=True, slots=True)
class ShortStatistics:
    """Of a short form on held-out people. `coverage` is the share, by third of the short percentile, whose percentile
    in the full form is within the stated error; `width` the mean width of that interval, in points."""

    items: tuple[str, ...]
    alpha: float
    coverage: tuple[float, float, float]
    width: float
    correlation: float


@dataclass(frozen=True, slots=True)
class TraitStatistics:
    """`distance` is the Kolmogorov-Smirnov distance of held-out mid-rank percentiles from those of the norms made of
    the other half, and `stored_distance` of everybody's from those of the norms the instrument has, in 0..1. `deciles`
    are the shares of held-out people."""

    trait: str
    n: int
    alpha: float
    split_half: float
    error: float
    distance: float
    stored_distance: float | None
    deciles: tuple[float, ...]
    shorts: tuple[ShortStatistics, ...]


@dataclass(frozen=True, slots=True)
class OrderStatistics:
    """How near the percentiles of a trait come to those of the full form as items are answered: the root mean square of
    the deviation over people, after 0, 1, ... items in all, in adaptive order and in the instrument's. `error` is that
    of the full form; `reached` and `reached_fixed` are the numbers of items from which deviations stay within it."""

    people: int
    error: float
    adaptive: tuple[float, ...]
    fixed: tuple[float, ...]
    reached: int
    reached_fixed: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    instrument: str
    version: str
    people: int
    seed: int
    items: tuple[ItemStatistics, ...]
    traits: tuple[TraitStatistics, ...]
    order: OrderStatistics


def short_form(instrument: Instrument, text: str) -> tuple[Item, ...]:
    """The items of a form such as "E2- E5 E7 E10-", all of one trait; a minus says that the item is reverse-keyed.
    Raises BadForm."""
    known = {item.code: item for item in instrument.items}
    items = []
    for word in text.split():
        item = known.get(word) or known.get(word.removesuffix("-"))
        if item is None:
            raise BadForm(f"{instrument.code} has no item {word}")
        if word not in known and not item.is_reversed:
            raise BadForm(f"{item.code} is not reverse-keyed in {instrument.code}: leave out the minus")
        items.append(item)
    if len({item.trait for item in items}) != 1 or len(set(items)) != len(items):
        raise BadForm(f"a short form lists different items of one trait, not {text!r}")
    if len(items) == len(instrument.of(items[0].trait)):
        raise BadForm(f"{text!r} is the full form of {items[0].trait}")
    return tuple(items)


def evaluate(
    instrument: Instrument, responses: Responses, shorts: Sequence[tuple[Item, ...]], *, seed: int, people: int
) -> Evaluation:
    """Evaluates an instrument, its own short form, and others. `people` bounds those whose adaptive order is tried.
    Raises TooFewPeople."""
    learned_from, held_out = responses.split(seed)
    estimated = norms.estimate(instrument, learned_from, is_provisional=False)
    own = [tuple(item for item in instrument.of(trait) if item.is_short) for trait in instrument.traits]
    own = [
        form for trait, form in zip(instrument.traits, own, strict=True) if 0 < len(form) < len(instrument.of(trait))
    ]
    return Evaluation(
        instrument=instrument.code,
        version=instrument.version,
        people=len(responses.answers),
        seed=seed,
        items=tuple(_items(instrument, responses)),
        traits=tuple(
            _trait(
                instrument,
                trait,
                responses,
                (learned_from, held_out),
                estimated[trait],
                [form for form in dict.fromkeys([*own, *shorts]) if form[0].trait == trait],
            )
            for trait in instrument.traits
        ),
        order=_order(with_norms(instrument, estimated), held_out, people),
    )


def _items(instrument: Instrument, responses: Responses) -> list[ItemStatistics]:
    found = []
    for trait in instrument.traits:
        items = instrument.of(trait)
        keyed = responses.keyed(instrument, trait)
        whole = norms.complete(keyed) * np.array([item.weight for item in items])
        for i, item in enumerate(items):
            answers = keyed[:, i][~np.isnan(keyed[:, i])]
            if item.is_reversed:
                answers = instrument.lowest + instrument.highest - answers
            others = np.delete(whole, i, axis=1).sum(axis=1)
            total = float(np.corrcoef(whole[:, i], others)[0, 1]) if len(items) > 1 else float("nan")
            found.append(
                ItemStatistics(
                    item.code, trait, item.is_reversed, len(answers), len(keyed) - len(answers),
                    float(answers.mean()), float(answers.std(ddof=1)), total,
                )
            )  # fmt: skip
    return found


def _trait(
    instrument: Instrument,
    trait: str,
    responses: Responses,
    halves: tuple[Responses, Responses],
    norm: TraitNorm,
    shorts: Sequence[tuple[Item, ...]],
) -> TraitStatistics:
    items = instrument.of(trait)
    keyed = norms.complete(responses.keyed(instrument, trait))
    held_out = norms.complete(halves[1].keyed(instrument, trait))
    percentiles = norms.look_up(norm.full.percentiles, norms.raw_scores(items, held_out))
    stored = instrument.norms.get(trait)
    return TraitStatistics(
        trait=trait,
        n=len(keyed),
        alpha=norms.alpha_of(items, keyed),
        split_half=split_half(items, keyed),
        error=float(np.sqrt((norms.look_up(norm.full.errors, percentiles) ** 2).mean())),
        distance=distance(percentiles),
        stored_distance=(
            distance(norms.look_up(stored.full.percentiles, norms.raw_scores(items, keyed))) if stored else None
        ),
        deciles=tuple((np.histogram(percentiles, np.linspace(0, 100, 11))[0] / len(percentiles)).tolist()),
        shorts=tuple(_short(instrument, trait, form, keyed, halves) for form in shorts),
    )


def _short(
    instrument: Instrument, trait: str, form: tuple[Item, ...], keyed: Matrix, halves: tuple[Responses, Responses]
) -> ShortStatistics:
    items = instrument.of(trait)
    columns = [items.index(item) for item in form]
    chosen = tuple(replace(item, is_short=i in columns) for i, item in enumerate(items))
    learned_from = norms.complete(halves[0].keyed(instrument, trait))
    held_out = norms.complete(halves[1].keyed(instrument, trait))
    norm = norms.of_trait(instrument, chosen, learned_from, is_provisional=False)
    assert norm.short is not None  # a form has fewer items than its trait
    short = norms.look_up(norm.short.percentiles, norms.raw_scores(form, held_out[:, columns]))
    whole = norms.look_up(norm.full.percentiles, norms.raw_scores(items, held_out))
    errors = norms.look_up(norm.short.errors, short)
    is_covered = np.abs(short - whole) <= errors
    low, middle, high = (float(is_covered[(short >= a) & (short <= b)].mean()) for a, b in THIRDS)
    return ShortStatistics(
        items=tuple(item.code + "-" * item.is_reversed for item in form),
        alpha=norms.alpha_of(form, keyed[:, columns]),
        coverage=(low, middle, high),
        width=float(2 * errors.mean()),
        correlation=float(np.corrcoef(short, whole)[0, 1]),
    )


def split_half(items: tuple[Item, ...], keyed: Matrix) -> float:
    """The correlation of two halves, stepped up to the whole length (Spearman 1910; Brown 1910); NaN for one item. The
    items of each key alternate between the halves: if one half held most of the reverse-keyed items, a tendency to
    agree would pull them apart."""
    if len(items) < 2:
        return float("nan")
    order = sorted(range(len(items)), key=lambda i: items[i].is_reversed)
    parts = (keyed * np.array([item.weight for item in items]))[:, order]
    r = float(np.corrcoef(parts[:, ::2].sum(axis=1), parts[:, 1::2].sum(axis=1))[0, 1])
    return 2 * r / (1 + r)


def distance(percentiles: Matrix) -> float:
    """The Kolmogorov-Smirnov distance from the uniform distribution, 0..1. Scores take few values: each is compared at
    its mid-rank, so that the steps themselves are no distance."""
    values, counts = np.unique(percentiles, return_counts=True)
    ranks = (np.cumsum(counts) - counts / 2) / len(percentiles)
    return float(np.abs(ranks - values / 100).max())


def _order(instrument: Instrument, held_out: Responses, people: int) -> OrderStatistics:
    answered = Responses(norms.complete(held_out.answers)[:people])
    codes = [item.code for item in instrument.items]
    squares = np.zeros((2, len(codes) + 1))
    errors = []
    for person in range(len(answered.answers)):
        answers = answered.of(instrument, person)
        whole = score(instrument, answers, None).scores
        errors.append(np.mean([s.standard_error**2 for s in whole.values()]))
        for row, order in enumerate((_adaptive(instrument, answers), codes)):
            for count in range(len(codes) + 1):
                scores = score(instrument, {code: answers[code] for code in order[:count]}, None).scores
                squares[row, count] += np.mean(
                    [((scores[t].percentile if t in scores else 50) - whole[t].percentile) ** 2 for t in whole]
                )
    error = float(np.sqrt(np.mean(errors)))
    adaptive, fixed = np.sqrt(squares / len(answered.answers))
    return OrderStatistics(
        people=len(answered.answers),
        error=error,
        adaptive=tuple(adaptive.tolist()),
        fixed=tuple(fixed.tolist()),
        reached=_reached(adaptive, error),
        reached_fixed=_reached(fixed, error),
    )


def _adaptive(instrument: Instrument, answers: dict[str, int]) -> list[str]:
    given: dict[str, int] = {}
    while (item := next_item(instrument, given)) is not None:
        given[item.code] = answers[item.code]
    return list(given)


def _reached(deviations: Matrix, error: float) -> int:
    return int(np.flatnonzero(deviations > error).max(initial=-1)) + 1
