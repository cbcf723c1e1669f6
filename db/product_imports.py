"""Imports a product feed: reads a file line by line into a staging table, and merges that in one transaction.

A product whose line was rejected stays unchanged if the line's retailer and external id are valid. A line with an
invalid key identifies no product, so its product counts as missing from the feed.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, TextIO, TypeAlias

import asyncpg
import msgspec

from db.queries import QUERIES
from domain.feeds import (
    Column,
    ImportFailed,
    Mapping,
    Product,
    Reject,
    continues,
    like_pattern,
    parse_mapping,
    read_record,
)

MAX_RECORD_BYTES = 1 << 20
BATCH_ROWS = 2000
BOM = b"\xef\xbb\xbf"
MAX_FIELD_CHARACTERS = 1 << 17
AUDITED_COUNTS = ("read", "rejected", "inserted", "updated", "unchanged", "deactivated", "reactivated")
STAGING_COLUMNS = ("line", "rejected", *Product._fields)

_Stream: TypeAlias = io.BufferedReader | gzip.GzipFile
_Record: TypeAlias = tuple[int, dict[str, object] | Reject]  # line number, and the record or why it was rejected


@dataclass(frozen=True, slots=True)
class ImportReport:
    """Counts of records: read = continuations + rejected + inserted + updated + unchanged + reactivated.

    warnings: values dropped from imported rows. deactivation_skipped: a shop's feed shrank implausibly.
    """

    read: int
    continuations: int
    rejected: int
    inserted: int
    updated: int
    unchanged: int
    deactivated: int
    reactivated: int
    warnings: int
    deactivation_skipped: bool
    rejects_path: Path | None

    @property
    def written(self) -> int:
        """Rows of products that were changed."""
        return self.inserted + self.updated + self.deactivated + self.reactivated


def load_mapping(path: Path) -> Mapping:
    """Reads a mapping from a TOML file. Raises ImportFailed."""
    try:
        return parse_mapping(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ImportFailed(f"{path}: {error}") from None


async def import_products(
    connection: asyncpg.Connection[Any],
    path: Path,
    mapping: Mapping,
    *,
    rejects_path: Path | None = None,
    force: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> ImportReport:
    """Imports one file as the owner of the database; writes only rows that differ, all or none of them.

    `rejects_path` receives tab-separated line, field and reason (duplicates last). `force` deactivates missing products
    even if the feed shrank by more than 30 %. `on_progress` is called with the number of records read so far.
    Raises ImportFailed.
    """
    network = mapping.retailer.network
    if network and not await connection.fetchval(QUERIES["product_imports.network_exists"].sql, network):
        raise ImportFailed(f"mapping: unknown affiliate network {network!r}")
    for block in ("drop_staging", "create_staging", "create_staging_view"):
        await _run(connection, block)
    try:
        with _opened(path, rejects_path) as (stream, rejects_file):
            feed = _Feed(mapping, rejects_file)
            rows = feed.rows(_json_records(stream) if mapping.format == "jsonl" else _delimited(stream, mapping))
            while batch := list(islice(rows, BATCH_ROWS)):
                await connection.copy_records_to_table("product_import", records=batch, columns=STAGING_COLUMNS)
                if on_progress:
                    on_progress(feed.read)
            for block in ("analyze_staging", "mark_duplicates"):
                await _run(connection, block)
            async with connection.transaction():
                async for line, original in connection.cursor(QUERIES["product_imports.duplicates"].sql):
                    feed.reject(line, [Reject("external_id", f"duplicate of line {original}")])
                return await _merge(connection, feed, path.name, rejects_path, force)
    finally:
        # Fails too in a failed transaction of the caller, whose error it must not hide.
        with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError):
            await _run(connection, "drop_staging")


async def _merge(
    connection: asyncpg.Connection[Any], feed: _Feed, file_name: str, rejects: Path | None, force: bool
) -> ImportReport:
    shop = feed.mapping.retailer
    await _run(connection, "lock")
    await _run(connection, "add_retailers", shop.network, shop.domain)
    await _check_categories(connection, feed.mapping)
    for block in ("add_brands", "resolve_google_numbers", "resolve_google_paths", "place_by_google", "add_categories"):
        await _run(connection, block)
    patterns = [like_pattern(pattern) for pattern in feed.mapping.categories]
    await _run(connection, "map_categories", patterns, list(feed.mapping.categories.values()))
    for block in ("map_categories_by_google", "note_offers_seen"):
        await _run(connection, block)
    # Checked before the merge: afterwards new products would hide how many of the old ones are missing.
    retailers = await connection.fetch(QUERIES["product_imports.feed_retailers"].sql, shop.slug)
    trusted = [row["id"] for row in retailers if force or not row["has_shrunk"]]
    [(updated, reactivated)] = await connection.fetch(QUERIES["product_imports.update_products"].sql)
    inserted = await _run(connection, "insert_products")
    deactivated = await _run(connection, "deactivate_products", trusted)
    report = ImportReport(
        read=feed.read,
        continuations=feed.continuations,
        rejected=feed.rejected,
        inserted=inserted,
        updated=updated,
        unchanged=feed.read - feed.continuations - feed.rejected - inserted - updated - reactivated,
        deactivated=deactivated,
        reactivated=reactivated,
        warnings=feed.warnings,
        deactivation_skipped=len(trusted) < len(retailers),
        rejects_path=rejects,
    )
    if report.written:
        # In the same transaction: otherwise products could stay without features until the next import that writes.
        await _run(connection, "analyze_products")
        await _run(connection, "refresh_model")
        counts = {name: getattr(report, name) for name in AUDITED_COUNTS}
        await _run(connection, "audit", file_name, msgspec.json.encode(counts).decode())
    return report


async def _check_categories(connection: asyncpg.Connection[Any], mapping: Mapping) -> None:
    slugs = list(set(mapping.categories.values()))
    if unknown := await connection.fetchval(QUERIES["product_imports.unknown_gift_category"].sql, slugs):
        raise ImportFailed(f"mapping: [categories] names {unknown!r}, which is no gift category (catalogue/reference)")


async def _run(connection: asyncpg.Connection[Any], block: str, *arguments: object) -> int:
    """The number of rows in a command tag; 0 for statements without rows."""
    rows = (await connection.execute(QUERIES[f"product_imports.{block}"].sql, *arguments)).rpartition(" ")[2]
    return int(rows) if rows.isdecimal() else 0


class _Feed:
    """Converts records to rows of the staging table; counts them, and writes rejects to the file."""

    def __init__(self, mapping: Mapping, rejects_file: TextIO | None) -> None:
        self.mapping = mapping
        self.read = self.continuations = self.rejected = self.warnings = 0
        self._writer = csv.writer(rejects_file, delimiter="\t", lineterminator="\n") if rejects_file else None
        if self._writer:
            self._writer.writerow(("line", "field", "reason"))

    def reject(self, line: int, rejects: Iterable[Reject]) -> None:
        self.rejected += 1
        if self._writer:
            self._writer.writerows((line, *reject) for reject in rejects)

    def rows(self, records: Iterator[_Record]) -> Iterator[tuple[object, ...]]:
        previous: dict[str, object] | None = None
        for line, record in records:
            self.read += 1
            if isinstance(record, Reject):
                self.reject(line, [record])
                continue
            if continues(record, previous, self.mapping):
                self.continuations += 1
                continue
            previous = record
            reading = read_record(record, self.mapping)
            if reading.product:
                self.warnings += len(reading.warnings)
                yield (line, False, *reading.product)
                continue
            self.reject(line, reading.rejects)
            if reading.key:
                yield (line, True, reading.key[0], None, reading.key[1], *[None] * (len(Product._fields) - 3))


@contextlib.contextmanager
def _opened(path: Path, rejects_path: Path | None) -> Iterator[tuple[_Stream, TextIO | None]]:
    """The feed, decompressed if it is gzip, and the file of rejects, which is always written, so that no old one is
    left."""
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))
            packed = file.peek(2).startswith(b"\x1f\x8b")
            if rejects_path and rejects_path.exists() and rejects_path.samefile(path):
                raise ImportFailed(f"{path}: the rejects would overwrite the feed")
            rejects = stack.enter_context(rejects_path.open("w", newline="")) if rejects_path else None
        except OSError as error:
            raise ImportFailed(f"{error.filename or path}: {error.strerror}") from None
        yield (gzip.GzipFile(fileobj=file) if packed else file), rejects


class RecordTooLong(ValueError):
    """The message is the reason of the reject."""


class _Lines:
    """The lines of a file. A class, because a generator would end when it raises RecordTooLong."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream
        self.count = self.record_bytes = 0
        self.start = self._read(stream.peek, 16).removeprefix(BOM)

    def __iter__(self) -> _Lines:
        return self

    def _read(self, read: Callable[[int], bytes], size: int) -> bytes:
        try:
            return read(size)
        except (OSError, EOFError, zlib.error) as error:
            raise ImportFailed(f"line {self.count + 1}: the file is damaged or cannot be read: {error}") from None

    def __next__(self) -> bytes:
        line = self._read(self._stream.readline, MAX_RECORD_BYTES + 1)
        if not line:
            raise StopIteration
        self.count += 1
        self.record_bytes += len(line)
        if self.record_bytes > MAX_RECORD_BYTES:
            while line and not line.endswith(b"\n"):
                line = self._read(self._stream.readline, MAX_RECORD_BYTES)
            raise RecordTooLong(f"record longer than {MAX_RECORD_BYTES} bytes")
        if self.count == 1:
            line = line.removeprefix(BOM)
            try:
                line.decode()
            except UnicodeDecodeError:
                raise ImportFailed("not a UTF-8 text file: its first line cannot be read") from None
        return line


def _json_records(stream: _Stream) -> Iterator[_Record]:
    lines = _Lines(stream)
    if lines.start.lstrip().startswith(b"["):
        raise ImportFailed("a JSON array: JSON Lines has one object on each line")
    decoder = msgspec.json.Decoder(dict[str, object], float_hook=Decimal)
    while True:
        lines.record_bytes = 0
        try:
            line = next(lines, None)
            if line is None:
                return
            if not line.isspace():
                yield lines.count, decoder.decode(line)
        except RecordTooLong as error:
            yield lines.count, Reject("line", str(error))
        except UnicodeDecodeError:
            yield lines.count, Reject("line", "not valid UTF-8")
        except (msgspec.DecodeError, RecursionError, ArithmeticError):
            yield lines.count, Reject("line", "not a JSON object")


def _delimited(stream: _Stream, mapping: Mapping) -> Iterator[_Record]:
    lines = _Lines(stream)
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    # Bytes that are not UTF-8 become lone surrogates, which fail only records that use the column.
    texts = map(functools.partial(bytes.decode, errors="surrogateescape"), lines)
    reader = csv.reader(texts, delimiter=mapping.delimiter or {"csv": ",", "tsv": "\t"}[mapping.format])
    try:
        header = [name.strip() for name in next(reader, [])]
    except (RecordTooLong, csv.Error) as error:
        raise ImportFailed(f"header: {error}") from None
    _check_header(header, mapping)
    while True:
        lines.record_bytes = 0
        line = lines.count + 1
        try:
            row = next(reader, None)
        except (RecordTooLong, csv.Error) as error:
            yield line, Reject("line", str(error))
            continue
        if row is None:
            return
        while len(row) > len(header) and not row[-1]:
            row.pop()
        if row and len(row) != len(header):
            yield line, Reject("line", "another number of fields than the header")
        elif row:
            yield line, dict(zip(header, row, strict=True))


def _check_header(header: list[str], mapping: Mapping) -> None:
    """Fails once for a file of another format than the mapping's, instead of rejecting each of its lines."""
    needed: tuple[Column, ...] = ("external_id", "name", "price", "affiliate_url", "retailer")
    wanted = [mapping.fields[c] for c in needed if c in mapping.fields and c not in mapping.constants]
    if mapping.continuation is not None:
        wanted += [(mapping.continuation.key,), (mapping.continuation.empty,)]
    for paths in wanted:
        if not any(path in header for path in paths):
            raise ImportFailed(
                f"no column {' or '.join(map(repr, paths))} in the file: is the mapping for another feed?"
            )
