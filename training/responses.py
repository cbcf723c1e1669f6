"""Many people's answers to an instrument, from a file."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from domain.instruments import Instrument

Matrix = NDArray[np.float64]


class BadResponses(ValueError):
    """The file cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Responses:
    """`answers` has a row per person and a column per item of the instrument, in its order; NaN where it is missing."""

    answers: Matrix

    def keyed(self, instrument: Instrument, trait: str) -> Matrix:
        """The answers to a trait's items in the direction of the trait."""
        columns = [i for i, item in enumerate(instrument.items) if item.trait == trait]
        flipped = np.array([instrument.items[i].is_reversed for i in columns])
        values = self.answers[:, columns]
        return np.where(flipped, instrument.lowest + instrument.highest - values, values)

    def split(self, seed: int) -> tuple[Responses, Responses]:
        """Two random halves of the people: to estimate from, and held out. The same seed gives the same halves."""
        order = np.random.default_rng(seed).permutation(len(self.answers))
        middle = len(order) // 2
        return Responses(self.answers[np.sort(order[:middle])]), Responses(self.answers[np.sort(order[middle:])])

    def of(self, instrument: Instrument, person: int) -> dict[str, int]:
        """One person's answers by code, without the missing."""
        row = self.answers[person]
        return {item.code: int(row[i]) for i, item in enumerate(instrument.items) if not np.isnan(row[i])}


def read(path: Path, instrument: Instrument) -> Responses:
    """Reads comma- or tab-separated responses, gzipped or not, with a column per item code; others are ignored. What is
    no answer of the instrument, such as 0 or an empty field, is missing. Raises BadResponses."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            if not header.strip():
                raise BadResponses(f"{path}: the file is empty")
            delimiter = "\t" if header.count("\t") > header.count(",") else ","
            names = next(csv.reader([header], delimiter=delimiter))
            missing = [item.code for item in instrument.items if item.code not in names]
            if missing:
                raise BadResponses(f"{path}: no column for the items {', '.join(missing)}")
            columns = [names.index(item.code) for item in instrument.items]
            valid = {str(value): float(value) for value in range(instrument.lowest, instrument.highest + 1)}
            valid |= {f"{value}.0": number for value, number in valid.items()}
            nothing = float("nan")
            rows = [
                [valid.get(row[c].strip(), nothing) if c < len(row) else nothing for c in columns]
                for row in csv.reader(file, delimiter=delimiter)
                if row
            ]
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise BadResponses(f"{path}: {error}") from None
    answers = np.array(rows, dtype=np.float64).reshape(len(rows), len(columns))
    answers = answers[~np.isnan(answers).all(axis=1)]
    if len(answers) < 2:
        raise BadResponses(f"{path}: {len(answers)} people answered anything; at least 2 are needed")
    return Responses(answers)
