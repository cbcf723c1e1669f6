"""The rows of an import's staging table, made of the records of a feed; what is refused is counted and listed."""

from __future__ import annotations

import contextlib
import csv
import itertools
from collections.abc import Iterable, Iterator
from collections.abc import Mapping as Lookup
from datetime import UTC, datetime
from typing import TextIO

from db.feed_readers import Row
from domain.feed_mappings import Mapping
from domain.feed_values import BadValue
from domain.feed_variants import expanded, with_variants
from domain.feeds import Product, Reader, Reject, shown

STAGING_COLUMNS = ("number", "line", "rejected", *Product._fields)
REJECT_COLUMNS = ("line", "id", "field", "value", "reason", "kind")
MAX_KEPT_REJECTS = 10_000
_NOTHING = [None] * (len(Product._fields) - 2)


class FeedRows:
    """Counts the records of a feed, and writes what was refused to the file: line, id, field, value, reason, kind.

    `kept`: the first MAX_KEPT_REJECTS of these rows.
    """

    def __init__(
        self, mapping: Mapping, rejects_file: TextIO | None, taxonomy: Lookup[int, list[str] | None] | None = None
    ) -> None:
        self.mapping = mapping
        self.read = self.continuations = self.rejected = self.warnings = 0
        self.fault_line: int | None = None  # of the first structural fault
        self.kept: list[tuple[int, str, str, str, str, str]] = []
        self._numbers = itertools.count()
        self._reader = Reader(mapping, datetime.now(UTC), taxonomy)
        self._writer = csv.writer(rejects_file, delimiter="\t", lineterminator="\n") if rejects_file else None
        if self._writer:
            self._writer.writerow(REJECT_COLUMNS)

    def reject(self, line: int, id: str | None, rejects: Iterable[Reject]) -> None:
        """Counts a record as rejected, for these reasons."""
        self.rejected += 1
        self._list(line, id, rejects, "rejected")

    def _list(self, line: int, id: str | None, found: Iterable[Reject], kind: str) -> None:
        for reject in found:
            row = (line, shown(id or ""), reject.field, reject.value, reject.reason, kind)
            if self._writer:
                self._writer.writerow(row)
            if len(self.kept) < MAX_KEPT_REJECTS:
                self.kept.append(row)

    def rows(self, records: Iterator[Row]) -> Iterator[tuple[object, ...]]:
        """The rows of the valid records, and the keys of the others if they could be read."""
        keys: list[tuple[object, ...]] = []
        for line, record in with_variants(self._readable(records, keys), self.mapping):
            if record is None:
                self.continuations += 1
            else:
                yield from self._row(line, record)
            yield from keys
            keys.clear()
        yield from keys

    def _readable(
        self, records: Iterator[Row], keys: list[tuple[object, ...]]
    ) -> Iterator[tuple[int, dict[str, object]]]:
        """The records without faults; of the others the keys are noted."""
        for line, record, fault, is_structural in records:
            self.read += 1
            if is_structural and self.fault_line is None:
                self.fault_line = line
            if record is not None and fault is None:
                try:
                    variants = expanded(record, self.mapping)
                except BadValue as reason:
                    fault = Reject("variants", str(reason))
                    self.fault_line = self.fault_line or line  # which products it has is not known
                else:
                    self.read += len(variants) - 1
                    for variant in variants:
                        yield line, variant
                    continue
            retailer, id = self._reader.key_of(record) if record else (None, None)
            self.reject(line, id, [fault or Reject("line", "unreadable")])
            keys.extend(self._key(line, retailer, id))

    def _row(self, line: int, record: dict[str, object]) -> Iterator[tuple[object, ...]]:
        reading = self._reader.read(record)
        if reading.product:
            if reading.warnings:
                self.warnings += len(reading.warnings)
                self._list(line, reading.external_id, reading.warnings, "warning")
            yield (next(self._numbers), line, False, *reading.product)
            return
        self.reject(line, reading.external_id, reading.rejects)
        yield from self._key(line, reading.retailer, reading.external_id)

    def _key(self, line: int, retailer: str | None, id: str | None) -> Iterator[tuple[object, ...]]:
        if retailer and id:
            yield (next(self._numbers), line, True, retailer, id, *_NOTHING)


def records_of(rows: Iterator[Row], mapping: Mapping) -> Iterator[tuple[int, dict[str, object] | None]]:
    """The products among the rows without faults; None for a line that continues one."""
    return with_variants(_expanded(rows, mapping), mapping)


def _expanded(rows: Iterator[Row], mapping: Mapping) -> Iterator[tuple[int, dict[str, object]]]:
    for row in rows:
        if row.record is not None and row.fault is None:
            with contextlib.suppress(BadValue):
                for made in expanded(row.record, mapping):
                    yield row.line, made
