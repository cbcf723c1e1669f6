"""Instruments in the database: stored from a parsed file, read for scoring, kept in memory by revision."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from db import instrument_files
from db.queries import QUERIES
from db.reference import ReferenceChanges
from domain.instruments import (
    BadInstrument,
    Document,
    FormNorm,
    Instrument,
    Item,
    Texts,
    TraitNorm,
    check_norms,
    with_norms,
)
from domain.personality import TRAITS

SHIPPED = instrument_files.FOLDERS[0] / "aclue-gifts.toml"
CACHE_VERSIONS = 16
MIN_ASSESSMENTS = 500  # for norms
MIN_QUALITY = 0.5


@dataclass(frozen=True, slots=True)
class Loaded:
    """A version as the database has it. It has no norms (`instrument.norms`) before these are loaded."""

    instrument: Instrument
    texts: Mapping[str, Texts]
    revision: UUID


@dataclass(frozen=True, slots=True)
class Stored:
    """What `store` did."""

    is_new: bool
    is_current: bool


_cache: OrderedDict[UUID, Loaded] = OrderedDict()


def cached(revision: UUID) -> Loaded | None:
    """The version of this revision, if this process has read it. Every change gives a version another revision."""
    found = _cache.get(revision)
    if found is not None:
        _cache.move_to_end(revision)
    return found


def read_row(row: asyncpg.Record) -> Loaded:
    """A version from a row of instruments.read, which is then cached. Raises BadInstrument for norms that do not fit
    the questions."""
    traits = msgspec.json.decode(row["traits"])
    instrument = Instrument(
        code=row["instrument"],
        version=row["version"],
        lowest=row["lowest"],
        highest=row["highest"],
        min_answers=row["min_answers"],
        min_per_trait={trait["name"]: trait["min_answers"] for trait in traits},
        traits=tuple(trait["name"] for trait in traits),
        items=tuple(Item(**question) for question in msgspec.json.decode(row["questions"])),
        norms={},
    )
    norms = _norms(msgspec.json.decode(row["norms"]))
    if norms:
        instrument = with_norms(instrument, norms)
    loaded = Loaded(instrument, _texts(instrument, msgspec.json.decode(row["texts"])), row["revision"])
    _cache[loaded.revision] = loaded
    while len(_cache) > CACHE_VERSIONS:
        _cache.popitem(last=False)
    return loaded


def _texts(instrument: Instrument, rows: Sequence[Mapping[str, str]]) -> dict[str, Texts]:
    """The languages in which every question is worded."""
    by_locale: dict[str, dict[str, str]] = {}
    for row in rows:
        by_locale.setdefault(row["locale"], {})[row["code"]] = row["text"]
    values = range(instrument.lowest, instrument.highest + 1)
    return {
        locale: Texts(
            {item.code: texts[item.code] for item in instrument.items},
            {value: texts[f"answer-{value}"] for value in values if f"answer-{value}" in texts},
        )
        for locale, texts in sorted(by_locale.items())
        if all(item.code in texts for item in instrument.items)
    }


def _norms(rows: Sequence[Mapping[str, Any]]) -> dict[str, TraitNorm]:
    forms = {(row["trait"], row["form"]): row for row in rows}
    return {
        trait: TraitNorm(
            n=row["n"],
            is_provisional=row["is_provisional"],
            full=_form(row),
            short=_form(forms[trait, "short"]) if (trait, "short") in forms else None,
            means=tuple(row["item_means"]),
            covariance=tuple(tuple(line) for line in row["item_covariance"]),
        )
        for (trait, form), row in forms.items()
        if form == "full"
    }


def _form(row: Mapping[str, Any]) -> FormNorm:
    pairs = (tuple((float(x), float(y)) for x, y in row[name]) for name in ("percentiles", "errors"))
    return FormNorm(row["mean"], row["sd"], row["alpha"], *pairs)


async def read(connection: asyncpg.Connection[Any], instrument: str, version: str) -> Loaded | None:
    """A version; None if it is not there."""
    row = await connection.fetchrow(QUERIES["instruments.read"].sql, instrument, version)
    return None if row is None else read_row(row)


async def newest(connection: asyncpg.Connection[Any], instrument: str) -> Loaded | None:
    """The version that people take, or else the last that was loaded; None if there is none."""
    version = await connection.fetchval(QUERIES["instruments.newest"].sql, instrument)
    return None if version is None else await read(connection, instrument, version)


async def store(
    owner: asyncpg.Connection[Any], document: Document, *, source: str = "admin", activate: bool = False
) -> Stored:
    """Stores an instrument. Of a version that is there, texts are updated, and norms unless they come from people's
    answers; its questions are what people have answered, and stay. `source`: reference, or admin, whose changes
    `load_reference` keeps. `activate`: the API serves it from now on. Raises
    BadInstrument for other questions under the same version, or a version that cannot be served."""
    instrument = document.instrument
    key = {"instrument": instrument.code, "version": instrument.version}
    if activate:
        require_servable(document)
    async with owner.transaction():
        await _run(owner, "lock")
        row = await owner.fetchrow(QUERIES["instruments.read"].sql, instrument.code, instrument.version)
        known = None if row is None else read_row(row)
        if known is None:
            await _add(owner, instrument, source)
        elif _asked(known.instrument) != _asked(instrument):
            raise BadInstrument(
                f"{instrument.code} {instrument.version} is loaded with other questions, keys or minimums;"
                " give the new ones another version"
            )
        is_edited = known is not None and not _has_texts(known, document.texts)
        for locale, texts in document.texts.items():
            answers = {f"answer-{value}": text for value, text in texts.options.items()}
            for code, text in {**texts.items, **answers}.items():
                await _run(owner, "store_text", **key, locale=locale, code=code, text=text)
        is_measured = row is not None and _is_measured(row)
        if instrument.norms and not is_measured and (known is None or known.instrument.norms != instrument.norms):
            is_edited = known is not None
            await store_norms(owner, instrument, source="reference")
        if is_edited and row is not None and row["source"] != source:
            await _run(owner, "edited", **key, source=source)
        if activate and not (row and row["is_current"]):
            await _run(owner, "retire")
            await _run(owner, "activate", **key)
    return Stored(known is None, activate or bool(row and row["is_current"]))


def _asked(instrument: Instrument) -> tuple[Any, ...]:
    i = instrument
    return i.traits, i.items, i.lowest, i.highest, i.min_answers, dict(i.min_per_trait)


def require_servable(document: Document) -> None:
    """Raises BadInstrument if the API cannot serve it: it needs norms, texts in English, and the traits of the enum."""
    instrument = document.instrument
    what = f"{instrument.code} {instrument.version} cannot be the quiz"
    if set(instrument.traits) != set(TRAITS):
        raise BadInstrument(f"{what}: its traits are {', '.join(instrument.traits)}, not {', '.join(TRAITS)}")
    if "en" not in document.texts:
        raise BadInstrument(f"{what}: it has no texts in English")
    if not instrument.norms:
        raise BadInstrument(f"{what}: it has no norms")


async def _add(owner: asyncpg.Connection[Any], instrument: Instrument, source: str) -> None:
    key = {"instrument": instrument.code, "version": instrument.version}
    await _run(
        owner,
        "add_version",
        **key,
        lowest=instrument.lowest,
        highest=instrument.highest,
        min_answers=instrument.min_answers,
        source=source,
    )
    for position, trait in enumerate(instrument.traits, start=1):
        least = instrument.min_per_trait[trait]
        await _run(owner, "add_trait", **key, trait=trait, position=position, min_answers=least)
    for position, item in enumerate(instrument.items, start=1):
        await _run(
            owner,
            "add_question",
            **key,
            code=item.code,
            position=position,
            trait=item.trait,
            is_reversed=item.is_reversed,
            weight=item.weight,
            is_short=item.is_short,
        )


async def store_norms(owner: asyncpg.Connection[Any], instrument: Instrument, *, source: str) -> None:
    """Replaces the norms of a version by those of `instrument`. `source`: reference or assessments. Raises
    BadInstrument if they do not fit it."""
    check_norms(instrument, instrument.norms)
    key = {"instrument": instrument.code, "version": instrument.version}
    async with owner.transaction():
        await _run(owner, "forget_norms", **key)
        for trait, norm in instrument.norms.items():
            for name, form in (("full", norm.full), ("short", norm.short)):
                if form is None:
                    continue
                await _run(
                    owner,
                    "add_norm",
                    **key,
                    trait=trait,
                    form=name,
                    n=norm.n,
                    is_provisional=norm.is_provisional,
                    mean=form.mean,
                    sd=form.sd,
                    alpha=form.alpha,
                    percentiles=_json(form.percentiles),
                    errors=_json(form.errors),
                    means=_json(norm.means) if name == "full" else None,
                    covariance=_json(norm.covariance) if name == "full" else None,
                    source=source,
                )


async def reference_changes(owner: asyncpg.Connection[Any]) -> ReferenceChanges:
    """What `load_reference` would change: the shipped version if it is missing, or its texts and norms. `kept`: they
    differ, but were loaded by hand. Norms of people's answers are no difference."""
    return await _difference(owner, instrument_files.load(SHIPPED))


async def _difference(owner: asyncpg.Connection[Any], document: Document) -> ReferenceChanges:
    shipped = document.instrument
    name = (f"{shipped.code} {shipped.version}",)
    row = await owner.fetchrow(QUERIES["instruments.read"].sql, shipped.code, shipped.version)
    if row is None:
        return ReferenceChanges("quiz", added=name)
    stored = read_row(row)
    differs = not _has_texts(stored, document.texts) or (
        stored.instrument.norms != shipped.norms and not _is_measured(row)
    )
    if not differs:
        return ReferenceChanges("quiz")
    return ReferenceChanges("quiz", kept=name) if row["source"] == "admin" else ReferenceChanges("quiz", changed=name)


async def load_reference(owner: asyncpg.Connection[Any]) -> ReferenceChanges:
    """Stores the shipped instrument if its version is missing, and makes it the current one unless an administrator
    chose another; or updates its texts and norms."""
    document = instrument_files.load(SHIPPED)
    changes = await _difference(owner, document)
    if changes.count:
        activate = bool(changes.added) and await owner.fetchval(QUERIES["instruments.has_shipped_current"].sql)
        await store(owner, document, source="reference", activate=activate)
    return changes


async def load_missing(owner: asyncpg.Connection[Any]) -> bool:
    """Stores the shipped instrument if its version is missing; its texts and norms are updated by `aclue reference
    load`."""
    document = instrument_files.load(SHIPPED)
    if await read(owner, document.instrument.code, document.instrument.version) is not None:
        return False
    await load_reference(owner)
    return True


def _has_texts(stored: Loaded, texts: Mapping[str, Texts]) -> bool:
    return all(stored.texts.get(locale) == of_locale for locale, of_locale in texts.items())


def _is_measured(row: asyncpg.Record) -> bool:
    """Whether a row of instruments.read has norms of people's answers."""
    return any(norm["source"] == "assessments" for norm in msgspec.json.decode(row["norms"]))


async def full_assessments(owner: asyncpg.Connection[Any], instrument: Instrument) -> list[tuple[int, ...]]:
    """The newest complete and attentive answers of each person who consents, in the order of the questions."""
    rows = await owner.fetch(
        QUERIES["instruments.full_assessments"].sql,
        instrument.code,
        instrument.version,
        [item.code for item in instrument.items],
        MIN_QUALITY,
    )
    return [tuple(row["answers"]) for row in rows]


async def _run(owner: asyncpg.Connection[Any], block: str, **values: Any) -> None:
    query = QUERIES[f"instruments.{block}"]
    await owner.execute(query.sql, *(values[name] for name in query.params))


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
