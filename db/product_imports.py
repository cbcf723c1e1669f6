"""Imports a product feed: reads a file record by record into a staging table, and merges that in one transaction.

A product whose line was rejected stays unchanged if the line's retailer and external id are valid. A line with an
invalid key identifies no product, so its product counts as missing from the feed. If the file has a structural fault,
nothing counts as missing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import asyncpg
import msgspec

from db import import_runs
from db.feed_files import Stream, opened
from db.feed_readers import Row, delimited, json_array, json_lines
from db.feed_rows import STAGING_COLUMNS, FeedRows
from db.feed_xml import xml_items
from db.import_runs import Run
from db.product_links import change_shop, check_links
from db.product_names import resolve_brands, resolve_categories, resolve_retailers
from db.queries import QUERIES
from domain.feed_mappings import ImportFailed, Mapping, Retailer, Shop, like_pattern, parse_mapping
from domain.feeds import Reject

MAPPINGS = Path(__file__).resolve().parent.parent / "catalogue" / "mappings"
BATCH_ROWS = 2000
# Products that a statement writes. Its triggers each read all of them, from files if they are more than memory holds.
WRITTEN_ROWS = 5000
STAGING = (
    "drop_staging", "create_staging", "create_staging_retailers", "create_staging_brands", "create_staging_categories",
    "create_staging_view", "create_staging_changes", "create_staging_new",
)  # fmt: skip
AUDITED_COUNTS = (
    "read", "rejected", "inserted", "updated", "unchanged", "deactivated", "reactivated", "merged", "split",
)  # fmt: skip
COUNTS = (*AUDITED_COUNTS, "continuations", "warnings", "untracked", "deactivation_skipped", "fault_line")

READERS: dict[str, Callable[[Stream, Mapping], Generator[Row, None, None]]] = {
    "jsonl": json_lines, "json": json_array, "csv": delimited, "tsv": delimited, "xml": xml_items,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ImportReport:
    """Counts of records: read = continuations + rejected + inserted + updated + unchanged + reactivated.

    deactivated: offers that the feed no longer has; their products stay in the catalogue while another shop sells them.
    merged: products that turned out to be those of another shop, by their GTIN; split: those that no longer are.
    warnings: values dropped from imported rows. deactivation_skipped: a shop's feed shrank implausibly, or the file has
    a structural fault, at first in the line `fault_line`. networks: shops whose network changed: slug, old and new.
    untracked: links that go out without our click id, because they are the shop's own or of a shape in which its
    network reads none. notes: what else changed of the shops, in words. run: the number that `aclue import undo` takes;
    None for a dry run.
    """

    read: int
    continuations: int
    rejected: int
    inserted: int
    updated: int
    unchanged: int
    deactivated: int
    reactivated: int
    merged: int
    split: int
    warnings: int
    deactivation_skipped: bool
    fault_line: int | None
    networks: tuple[tuple[str, str, str], ...]
    untracked: int
    notes: tuple[str, ...]
    rejects_path: Path | None
    run: int | None = None

    @property
    def written(self) -> int:
        """Products and offers that were changed."""
        return self.inserted + self.updated + self.deactivated + self.reactivated + self.merged + self.split


def load_mapping(path: Path, shop: Shop = Shop()) -> Mapping:
    """Reads a mapping from a TOML file. Raises ImportFailed."""
    try:
        return parse_mapping(path.read_text(encoding="utf-8"), shop)
    except (OSError, UnicodeDecodeError) as error:
        raise ImportFailed(f"{path}: {error}") from None


async def import_products(
    connection: asyncpg.Connection[Any],
    path: Path,
    mapping: Mapping,
    *,
    rejects_path: Path | None = None,
    force: bool = False,
    dry_run: bool = False,
    on_progress: Callable[[int], None] | None = None,
    started_by: str = import_runs.OWNER,
) -> ImportReport:
    """Imports one file as the owner of the database; writes only rows that differ, all or none of them, and a run.

    `rejects_path` receives a table, tab-separated, of what was refused or dropped: line, id, field, value (cut), reason
    and kind (duplicates last). `force` deactivates missing products even if the feed shrank by more than 30 % or has a
    structural fault. `dry_run` reports what would be written, and writes nothing, not even a run. `on_progress` is
    called with the number of records read so far. `started_by` is stored with the run. Raises ImportFailed.
    """
    if dry_run:
        return await import_file(connection, path, mapping, None, rejects_path, force, on_progress)
    await import_runs.require_switched_on(connection)
    async with import_runs.begun(connection, started_by=started_by, file=path.name, mapping=mapping) as run:
        return await import_file(connection, path, mapping, run, rejects_path, force, on_progress)


async def import_file(
    connection: asyncpg.Connection[Any],
    path: Path,
    mapping: Mapping,
    run: Run | None,
    rejects_path: Path | None = None,
    force: bool = False,
    on_progress: Callable[[int], None] | None = None,
    max_bytes: int | None = None,
) -> ImportReport:
    """Imports one file as this run, which it finishes; without a run it writes nothing. `max_bytes`: of the file when
    unpacked. See import_products."""
    if run:
        await run.describe_file(path)
    network = mapping.retailer.network
    if network and not await connection.fetchval(QUERIES["product_imports.network_exists"].sql, network):
        raise ImportFailed(f"mapping: unknown affiliate network {network!r}")
    taxonomy = {row["id"]: row["path"] for row in await connection.fetch(QUERIES["product_imports.google_paths"].sql)}
    for block in STAGING:
        await _run(connection, block)
    try:
        with (
            opened(path, max_bytes) as stream,
            _rejects(path, rejects_path) as rejects_file,
            contextlib.closing(READERS[mapping.format](stream, mapping)) as records,
        ):
            feed = FeedRows(mapping, rejects_file, taxonomy)
            rows = feed.rows(records)
            while batch := list(islice(rows, BATCH_ROWS)):
                await connection.copy_records_to_table("product_import", records=batch, columns=STAGING_COLUMNS)
                if on_progress:
                    on_progress(feed.read)
            await _run(connection, "index_staging")
            await _run(connection, "analyze_staging")
            transaction = connection.transaction()
            await transaction.start()
            try:
                await _run(connection, "lock")
                if run:
                    await run.record()
                await resolve_retailers(connection, mapping)
                shop = mapping.retailer
                change = QUERIES["product_imports.change_networks"].sql
                networks = await connection.fetch(change, shop.network) if shop.network else []
                notes = [*await _change_rates(connection, shop), *await change_shop(connection, shop)]
                untracked, more_notes = await check_links(connection, feed)
                await _run(connection, "mark_duplicates")
                async for line, original, id in connection.cursor(QUERIES["product_imports.duplicates"].sql):
                    feed.reject(line, id, [Reject("external_id", f"duplicate of line {original}", id)])
                report = await _merge(
                    connection,
                    feed,
                    rejects_path,
                    force,
                    networks=tuple((row["slug"], row["old"], row["new"]) for row in networks),
                    untracked=untracked,
                    notes=(*notes, *more_notes),
                )
                if run:
                    report = replace(report, run=run.number)
                    await run.keep_rejects(feed.kept)
                    await _finish(connection, path.name, report, run)
            except BaseException:
                await transaction.rollback()
                raise
            await (transaction.commit() if run else transaction.rollback())
            return report
    finally:
        # Fails too in a failed transaction of the caller, whose error it must not hide.
        with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError):
            await _run(connection, "drop_staging")


@contextlib.contextmanager
def _rejects(path: Path, rejects_path: Path | None) -> Iterator[TextIO | None]:
    """The file of rejects, which is always written, so that no old one is left."""
    if rejects_path is None:
        yield None
        return
    try:
        if rejects_path.exists() and rejects_path.samefile(path):
            raise ImportFailed(f"{path}: the rejects would overwrite the feed")
        file = rejects_path.open("w", newline="", encoding="utf-8")
    except OSError as error:
        raise ImportFailed(f"{error.filename or rejects_path}: {error.strerror}") from None
    with file:
        yield file


async def _merge(
    connection: asyncpg.Connection[Any],
    feed: FeedRows,
    rejects: Path | None,
    force: bool,
    **said: Any,  # of the shops and their links
) -> ImportReport:
    shop = feed.mapping.retailer
    await _check_categories(connection, feed.mapping)
    await resolve_brands(connection)
    for block in ("resolve_google_numbers", "resolve_google_paths", "place_by_google"):
        await _run(connection, block)
    await resolve_categories(connection)
    await _run(connection, "analyze_names")
    patterns = [like_pattern(pattern) for pattern in feed.mapping.categories]
    await _run(connection, "map_categories", patterns, list(feed.mapping.categories.values()))
    for block in ("map_categories_by_google", "note_offers_seen"):
        await _run(connection, block)
    # Checked before the merge: afterwards new products would hide how many of the old ones are missing.
    retailers = await connection.fetch(QUERIES["product_imports.feed_retailers"].sql, shop.slug)
    is_whole = force or feed.fault_line is None
    trusted = [row["id"] for row in retailers if force or (is_whole and not row["has_shrunk"])]
    await _run(connection, "find_changes")
    [(updated, reactivated)] = await connection.fetch(QUERIES["product_imports.count_changes"].sql)
    await _run(connection, "update_offers")
    await _run_in_batches(connection, "update_products", "changed_batches")
    await _run(connection, "find_new")
    inserted = await _run_in_batches(connection, "insert_products", "new_batches")
    deactivated = await _run(connection, "deactivate_offers", trusted)
    await _run(connection, "forget_link_failures", trusted)
    split = await connection.fetchval(QUERIES["product_imports.split_products"].sql)
    merged = await connection.fetchval(QUERIES["product_imports.merge_products"].sql)
    return ImportReport(
        read=feed.read,
        continuations=feed.continuations,
        rejected=feed.rejected,
        inserted=inserted,
        updated=updated,
        unchanged=feed.read - feed.continuations - feed.rejected - inserted - updated - reactivated,
        deactivated=deactivated,
        reactivated=reactivated,
        merged=merged,
        split=split,
        warnings=feed.warnings,
        deactivation_skipped=len(trusted) < len(retailers),
        fault_line=feed.fault_line,
        rejects_path=rejects,
        **said,
    )


async def _finish(connection: asyncpg.Connection[Any], file_name: str, report: ImportReport, run: Run) -> None:
    """In the same transaction: otherwise products could stay without features until the next import that writes."""
    if report.written:
        await _run(connection, "avoid_loops")
        await _run(connection, "note_origins", run.id)
        await _run(connection, "allow_loops")
    await run.stop_recording()
    counts = {name: getattr(report, name) for name in COUNTS}
    if report.written:
        await _run(connection, "analyze_products")
        await _run(connection, "refresh_model")
        audited = {name: counts[name] for name in AUDITED_COUNTS}
        await _run(connection, "audit", file_name, msgspec.json.encode(audited).decode())
    await run.finish("done", counts)


async def _change_rates(connection: asyncpg.Connection[Any], shop: Retailer) -> list[str]:
    """Stores the commission rate of the mapping for its shops; returns what changed, and what did not, in words."""
    if shop.commission_rate is None:
        return []
    rows = await connection.fetch(QUERIES["product_imports.change_commission_rates"].sql, shop.commission_rate)
    return [
        f"commission_rate of {row['slug']} "
        + (
            f"stays {row['old']}, as an administrator set it; the mapping says {row['new']}"
            if row["is_kept"]
            else f"was {row['old'] or 'none'} and is {row['new']}"
        )
        for row in rows
    ]


async def _check_categories(connection: asyncpg.Connection[Any], mapping: Mapping) -> None:
    slugs = list(set(mapping.categories.values()))
    if unknown := await connection.fetchval(QUERIES["product_imports.unknown_gift_category"].sql, slugs):
        raise ImportFailed(f"mapping: [categories] names {unknown!r}, which is no gift category (catalogue/reference)")


async def _run_in_batches(connection: asyncpg.Connection[Any], block: str, batches: str) -> int:
    """The same for each range of numbers that the block `batches` returns; the sum."""
    ranges = await connection.fetch(QUERIES[f"product_imports.{batches}"].sql, WRITTEN_ROWS)
    return sum([await _run(connection, block, row["first_number"], row["last_number"]) for row in ranges])


async def _run(connection: asyncpg.Connection[Any], block: str, *arguments: object) -> int:
    """The number of rows in a command tag; 0 for statements without rows."""
    rows = (await connection.execute(QUERIES[f"product_imports.{block}"].sql, *arguments)).rpartition(" ")[2]
    return int(rows) if rows.isdecimal() else 0
