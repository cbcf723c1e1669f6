"""What people said of products, as arrays: from files of events, and as matrices to train on."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Numbers = NDArray[np.int64]
LIKED = 0.5  # a value of this or more is a like
SUPER_LIKED = 0.9


class BadEvents(ValueError):
    """A file cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Events:
    """An event per row, a person's in the order they happened. `people` and `products` are places in the lists of
    names; `values` 0..1; `trust` 0..1 says how much the event counts for others; `days` is equal for events of one
    day; `standing` 0..1 says how much each person counts among all people."""

    people: Numbers
    products: Numbers
    values: NDArray[np.float64]
    trust: NDArray[np.float64]
    days: Numbers
    names: list[str]
    product_count: int
    standing: NDArray[np.float64]

    def likes(self) -> sparse.csr_matrix:
        """A row per person, a column per product; trust where the person's last event on the product is a like."""
        return self.matrix(self.values >= LIKED)

    def matrix(self, which: NDArray[np.bool_]) -> sparse.csr_matrix:
        """As `likes`, of these events."""
        shape = (len(self.names), self.product_count)
        found = sparse.csr_matrix((self.trust[which], (self.people[which], self.products[which])), shape=shape)
        found.data = np.minimum(found.data, 1.0).astype(np.float32)  # repeated events are one
        found.eliminate_zeros()
        found.sort_indices()
        return found

    def places(self) -> Numbers:
        """Of each event among those of its person, from 0."""
        starts = np.searchsorted(self.people, np.arange(len(self.names)))
        return np.arange(len(self.people)) - starts[self.people]

    def day_starts(self) -> Numbers:
        """Of each event, the place of the first one of its day among those of its person."""
        is_first = np.ones(len(self.people), bool)
        is_first[1:] = (self.people[1:] != self.people[:-1]) | (self.days[1:] != self.days[:-1])
        first = np.flatnonzero(is_first)[np.cumsum(is_first) - 1]
        places: Numbers = self.places()[first]
        return places

    def by_standing(self, people: Numbers, random: np.random.Generator) -> Numbers:
        """Of these people, each with the probability of their standing, relative to the highest: all, where it is
        equal. So a crowd of one network has as little say as its capacity allows, however many they are."""
        standing = self.standing[people]
        kept: Numbers = people[random.random(len(people)) * standing.max(initial=0.0) < standing]
        return kept

    def of(self, which: NDArray[np.bool_]) -> Events:
        """These events only, of the same people."""
        return Events(
            self.people[which],
            self.products[which],
            self.values[which],
            self.trust[which],
            self.days[which],
            self.names,
            self.product_count,
            self.standing,
        )


def make(rows: Iterable[tuple[str, int, float, float, int]], product_count: int) -> Events:
    """Events of (person, product, value, trust, day) in any order of people, each one's in time order."""
    listed = list(rows)
    names = sorted({row[0] for row in listed})
    place = {name: index for index, name in enumerate(names)}
    people = np.array([place[row[0]] for row in listed], np.int64)
    order = np.argsort(people, kind="stable")
    products = np.array([row[1] for row in listed], np.int64)
    values, trust = (np.array([row[column] for row in listed], np.float64) for column in (2, 3))
    days = np.array([row[4] for row in listed], np.int64)
    standing = np.ones(len(names))
    return Events(
        people[order], products[order], values[order], trust[order], days[order], names, product_count, standing
    )


def read(path: Path, items: dict[str, int]) -> Events:
    """A file with the columns user, item, value and, where they are known, seq (the order) and ts (ISO 8601); without
    ts, all events are of one day. Raises BadEvents."""
    rows = [
        (
            row["user"],
            _item(row["item"], items, path),
            _number(row, "value", path),
            _number(row, "seq", path),
            _day(row, path),
        )
        for row in read_rows(path, ("user", "item", "value"))
    ]
    rows.sort(key=lambda row: (row[0], row[3]))
    return make(((user, item, value, 1.0, day) for user, item, value, _, day in rows), len(items))


def read_items(path: Path) -> dict[str, int]:
    """The place of each item of a file with a column item. Raises BadEvents."""
    return {row["item"]: index for index, row in enumerate(read_rows(path, ("item",)))}


def read_rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """The rows of a comma-separated file, gzipped or not. Raises BadEvents."""
    try:
        with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as file:
            reader = csv.DictReader(file)
            missing = [column for column in columns if column not in (reader.fieldnames or ())]
            if missing:
                raise BadEvents(f"{path}: there is no column {missing[0]}")
            return list(reader)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise BadEvents(f"{path}: {error}") from None


def _item(name: str, items: dict[str, int], path: Path) -> int:
    try:
        return items[name]
    except KeyError:
        raise BadEvents(f"{path}: item {name!r} is not among the items") from None


def _number(row: dict[str, str], column: str, path: Path) -> float:
    try:
        return float(row.get(column) or 0)
    except ValueError:
        raise BadEvents(f"{path}: {column} is not a number: {row[column]!r}") from None


def _day(row: dict[str, str], path: Path) -> int:
    text = row.get("ts") or ""
    try:
        return date.fromisoformat(text[:10]).toordinal() if text else 0
    except ValueError:
        raise BadEvents(f"{path}: ts is not a time such as 2026-11-29T10:00: {text!r}") from None
