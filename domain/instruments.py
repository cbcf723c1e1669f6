"""Instruments: questionnaires as data. A document (from TOML) names traits, items, keys and texts; norms say how the
answers of a reference sample are distributed. The format is documented in docs/quiz.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from math import isfinite
from typing import Annotated, Any

import msgspec

from domain.normal_models import NotPositiveDefinite, innovations

MAX_OPTIONS = 10
MAX_QUESTIONS = 100  # of a version, as in their table
MAX_TRAITS = 10
MAX_TABLE = 401  # rows of a table of norms

Pairs = tuple[tuple[float, float], ...]


class BadInstrument(ValueError):
    """The document or its norms cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Item:
    code: str
    trait: str
    is_reversed: bool
    weight: float = 1.0
    is_short: bool = False


@dataclass(frozen=True, slots=True)
class FormNorm:
    """How a form of a trait's items is distributed in the norm sample.

    `percentiles` maps the weighted mean of keyed answers to the mid-rank percentile, ascending; `errors` maps a
    percentile to its standard error in points: of measurement for the full form, of the deviation from the full
    form's percentile for the short form.
    """

    mean: float
    sd: float
    alpha: float
    percentiles: Pairs
    errors: Pairs


@dataclass(frozen=True, slots=True)
class TraitNorm:
    """`means` and `covariance` are those of the trait's keyed items, in the order of the instrument. `short` is None
    if the trait has no short form, or if that is the full form."""

    n: int
    is_provisional: bool
    full: FormNorm
    short: FormNorm | None
    means: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Instrument:
    """`lowest` and `highest` bound an answer. `norms` is empty before the instrument is normed."""

    code: str
    version: str
    lowest: int
    highest: int
    min_answers: int
    min_per_trait: Mapping[str, int]
    traits: tuple[str, ...]
    items: tuple[Item, ...]
    norms: Mapping[str, TraitNorm]

    def of(self, trait: str) -> tuple[Item, ...]:
        """The items of a trait, in order."""
        return tuple(item for item in self.items if item.trait == trait)

    def key(self, item: Item, answer: int) -> int:
        """The answer in the direction of the trait: reversed items count lowest + highest - answer."""
        return self.lowest + self.highest - answer if item.is_reversed else answer

    @property
    def short_form(self) -> frozenset[str]:
        """The codes of the short form; empty unless it has an item of every trait."""
        short = [item for item in self.items if item.is_short]
        is_whole = {item.trait for item in short} == set(self.traits)
        return frozenset(item.code for item in short) if is_whole else frozenset()

    @property
    def is_provisional(self) -> bool:
        """Whether any trait's norms come from a simulation rather than from people."""
        return any(norm.is_provisional for norm in self.norms.values())


@dataclass(frozen=True, slots=True)
class Texts:
    """The wording in one language: of items by code, of answers by value."""

    items: Mapping[str, str]
    options: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed instrument file: the instrument, and its texts by locale (none if the file has no texts)."""

    instrument: Instrument
    texts: Mapping[str, Texts]


class _Trait(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z_-]{0,29}$")]
    min_answers: Annotated[int, msgspec.Meta(ge=1)] = 1


class _Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    code: Annotated[str, msgspec.Meta(pattern=r"^[\w .,()/&'-]{1,60}$")]
    trait: str
    reversed: bool
    weight: float = 1.0
    short: bool = False
    texts: dict[str, Annotated[str, msgspec.Meta(min_length=1, max_length=300)]] = {}


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    code: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,49}$")]
    version: Annotated[str, msgspec.Meta(pattern=r"^[\w.-]{1,20}$")]
    lowest: int
    highest: int
    min_answers: Annotated[int, msgspec.Meta(ge=1)]
    traits: Annotated[list[_Trait], msgspec.Meta(min_length=1, max_length=MAX_TRAITS)]
    items: Annotated[list[_Item], msgspec.Meta(min_length=1, max_length=MAX_QUESTIONS)]
    options: dict[str, dict[str, Annotated[str, msgspec.Meta(min_length=1, max_length=100)]]] = {}


def parse(document: Mapping[str, Any]) -> Document:
    """Reads an instrument from a decoded TOML file. Raises BadInstrument."""
    try:
        file = msgspec.convert(document, _File)
    except msgspec.ValidationError as error:
        raise BadInstrument(str(error)) from None
    _require(
        0 <= file.lowest < file.highest <= 100 and file.highest - file.lowest < MAX_OPTIONS,
        f"`lowest` and `highest` give 2 to {MAX_OPTIONS} answers from 0 to 100, not {file.lowest} to {file.highest}",
    )
    names = [trait.name for trait in file.traits]
    _require(len(set(names)) == len(names), f"a trait is listed twice: {', '.join(names)}")
    codes = [item.code for item in file.items]
    for code in codes:
        _require(codes.count(code) == 1, f"two items have the code {code}")
    for item in file.items:
        _require(item.trait in names, f"item {item.code}: there is no trait {item.trait}")
        _require(
            isfinite(item.weight) and 0 < item.weight <= 10,
            f"item {item.code}: a weight is over 0 and at most 10, not {item.weight}",
        )
    for trait in file.traits:
        size = sum(item.trait == trait.name for item in file.items)
        _require(size > 0, f"trait {trait.name} has no item")
        _require(trait.min_answers <= size, f"trait {trait.name}: min_answers exceeds its {size} items")
    _require(file.min_answers <= len(codes), f"min_answers exceeds the {len(codes)} items")
    short = {item.trait for item in file.items if item.short}
    instrument = Instrument(
        code=file.code,
        version=file.version,
        lowest=file.lowest,
        highest=file.highest,
        min_answers=file.min_answers,
        min_per_trait={trait.name: trait.min_answers for trait in file.traits},
        traits=tuple(names),
        items=tuple(Item(item.code, item.trait, item.reversed, item.weight, item.short) for item in file.items),
        norms={},
    )
    missing = ", ".join(name for name in names if name not in short)
    _require(not short or not missing or not file.options, f"the short form has no item of {missing}")
    return Document(instrument, _texts(file))


def _texts(file: _File) -> dict[str, Texts]:
    values = [str(value) for value in range(file.lowest, file.highest + 1)]
    locales = sorted({locale for item in file.items for locale in item.texts} | set(file.options))
    texts = {}
    for locale in locales:
        missing = [item.code for item in file.items if locale not in item.texts]
        _require(not missing, f"texts in {locale} are missing for {', '.join(missing)}")
        options = file.options.get(locale, {})
        _require(sorted(options) == sorted(values), f"options.{locale} are not those from {values[0]} to {values[-1]}")
        texts[locale] = Texts(
            {item.code: item.texts[locale] for item in file.items},
            {int(value): options[value] for value in values},
        )
    return texts


def _require(is_so: bool, message: str) -> None:
    if not is_so:
        raise BadInstrument(message)


class _Norms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    instrument: str
    version: str
    method: str
    traits: dict[str, TraitNorm]


def norms_from_json(instrument: Instrument, text: str | bytes) -> dict[str, TraitNorm]:
    """Reads and checks the norms of an instrument, as norms_to_json() writes them. Raises BadInstrument."""
    try:
        file = msgspec.json.decode(text, type=_Norms)
    except msgspec.DecodeError as error:
        raise BadInstrument(f"norms: {error}") from None
    _require(
        (file.instrument, file.version) == (instrument.code, instrument.version),
        f"these are norms of {file.instrument} {file.version}, not of {instrument.code} {instrument.version}",
    )
    check_norms(instrument, file.traits)
    return file.traits


def norms_to_json(instrument: Instrument, norms: Mapping[str, TraitNorm], method: str) -> str:
    """Norms as JSON; `method` says how they were made."""
    return msgspec.json.encode(_Norms(instrument.code, instrument.version, method, dict(norms))).decode()


def with_norms(instrument: Instrument, norms: Mapping[str, TraitNorm]) -> Instrument:
    """The instrument with these norms. Raises BadInstrument if they do not fit it."""
    check_norms(instrument, norms)
    return replace(instrument, norms=dict(norms))


def check_norms(instrument: Instrument, norms: Mapping[str, TraitNorm]) -> None:
    """Raises BadInstrument if norms are missing, not finite, not monotone, or of other items."""
    _require(
        set(norms) == set(instrument.traits),
        f"norms are of the traits {', '.join(norms)}, not of {', '.join(instrument.traits)}",
    )
    for trait, norm in norms.items():
        items = instrument.of(trait)
        _require(norm.n >= 2, f"norms of {trait}: n is {norm.n}")
        _check_form(instrument, f"norms of {trait}", norm.full)
        if norm.short is not None:
            _check_form(instrument, f"short norms of {trait}", norm.short)
        partial = 0 < sum(item.is_short for item in items) < len(items)
        _require(partial == (norm.short is not None), f"norms of {trait}: a short form needs norms, and no other does")
        rows = (norm.means, *norm.covariance)
        _require(
            len(norm.covariance) == len(items) and all(len(row) == len(items) for row in rows),
            f"norms of {trait}: means and covariance are not of its {len(items)} items",
        )
        _require(
            all(isfinite(value) for row in rows for value in row)
            and all(abs(a[j] - b[i]) < 1e-9 for i, a in enumerate(rows[1:]) for j, b in enumerate(rows[1:])),
            f"norms of {trait}: the covariance is not finite and symmetric",
        )
        try:
            innovations(norm.means, norm.covariance, dict.fromkeys(range(len(items)), 0.0))
        except NotPositiveDefinite:
            raise BadInstrument(f"norms of {trait}: the covariance is not positive definite") from None


def _check_form(instrument: Instrument, what: str, norm: FormNorm) -> None:
    numbers = (norm.mean, norm.sd, norm.alpha, *(x for pair in norm.percentiles + norm.errors for x in pair))
    _require(all(isfinite(x) for x in numbers), f"{what}: a number is not finite")
    _require(instrument.lowest <= norm.mean <= instrument.highest and norm.sd > 0, f"{what}: mean or sd is impossible")
    _require(0 <= norm.alpha < 1, f"{what}: alpha is from 0 to below 1, not {norm.alpha}")
    for name, pairs in (("percentiles", norm.percentiles), ("errors", norm.errors)):
        _require(2 <= len(pairs) <= MAX_TABLE, f"{what}: {name} has {len(pairs)} rows, not 2 to {MAX_TABLE}")
        _require(
            all(a[0] < b[0] for a, b in pairwise(pairs)),
            f"{what}: {name} is not in ascending order",
        )
        _require(all(0 <= y <= 100 for _, y in pairs), f"{what}: {name} is not within 0 and 100")
    _require(
        all(a[1] <= b[1] for a, b in pairwise(norm.percentiles)),
        f"{what}: percentiles fall where the answers rise",
    )
