"""Feeds that are fetched from a URL: by hand, or on a schedule. docs/imports.md

Imports are the owner's of the database. A server starts those that are due in a process of their own, in which the
owner's log-in is known; it never imports by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from db import import_runs, product_imports
from db.claims import SERVICE
from db.product_imports import ImportReport
from db.queries import QUERIES
from domain.feed_mappings import ImportFailed, Mapping
from domain.switches import Switch
from services import feed_downloads, subcommands, switches
from services.feed_downloads import DownloadFailed, Limits, Validators
from services.services import Services
from settings import Settings, source_secret

SCHEDULE = "schedule"
_NAME = re.compile(r"[a-z0-9]+([-_][a-z0-9]+)*")


class ImportsFailed(Exception):
    """The process that imports has failed; the message is the end of its output."""


class SourceBusy(Exception):
    """Another process fetches it now."""


@dataclass(frozen=True, slots=True)
class Due:
    """A source that was due. `report`: None if the feed has not changed; `error`: why it failed."""

    name: str
    report: ImportReport | None = None
    error: str | None = None


async def save(owner: asyncpg.Connection[Any], name: str, mapping: Mapping) -> None:
    """Stores a source with its mapping, or replaces it. Raises ImportFailed if the mapping has no [source], or the name
    is none."""
    if mapping.source is None:
        raise ImportFailed(f"mapping {name}: no [source] says where the feed is")
    if not _NAME.fullmatch(name) or len(name) > 100:
        raise ImportFailed(f"{name!r} is no name of a source: small letters, digits, - and _")
    encoded = msgspec.json.encode(mapping).decode()
    await owner.execute(QUERIES["import_sources.save"].sql, name, encoded, mapping.source.every_seconds)


async def fetch(
    owner: asyncpg.Connection[Any],
    settings: Settings,
    name: str,
    *,
    started_by: str,
    rejects_path: Path | None = None,
    force: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> ImportReport | None:
    """Fetches a stored source and imports it, as a run. None: the feed is the one of the last import. Raises
    ImportFailed, or SourceBusy."""
    await import_runs.require_switched_on(owner)
    async with _locked(owner, name):
        row: asyncpg.Record | None = await owner.fetchrow(QUERIES["import_sources.find"].sql, name)
        if row is None:
            raise ImportFailed(f"there is no source {name!r}: name a mapping with [source], or a stored source")
        try:
            return await _fetch(owner, settings, row, started_by, rejects_path, force, on_progress)
        except BaseException:
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await owner.execute(QUERIES["import_sources.failed"].sql, name)
            raise


async def _fetch(
    owner: asyncpg.Connection[Any],
    settings: Settings,
    row: asyncpg.Record,
    started_by: str,
    rejects_path: Path | None,
    force: bool,
    on_progress: Callable[[int], None] | None,
) -> ImportReport | None:
    name = row["name"]
    mapping = msgspec.json.decode(row["mapping"], type=Mapping)
    source = mapping.source
    assert source is not None
    limits = Limits(settings.max_source_bytes, settings.max_source_seconds, settings.allow_private_sources)
    imported_with = hashlib.sha256(row["mapping"].encode()).hexdigest()
    is_known = row["imported_with"] == imported_with and not force
    known = Validators(row["etag"], row["last_modified"]) if is_known else Validators()
    with tempfile.TemporaryDirectory(prefix="aclue-feed-") as folder:
        path = Path(folder) / (source.file_name or name)
        async with import_runs.begun(owner, started_by=started_by, source=name, file=path.name, mapping=mapping) as run:
            url, authorization = source.filled(source_secret)
            try:
                validators = await asyncio.to_thread(
                    feed_downloads.download, url, path, limits, authorization=authorization, known=known
                )
            except DownloadFailed as error:
                raise ImportFailed(f"source {name}: {error}") from None
            if validators is None:
                await run.finish("not_modified")
                await owner.execute(QUERIES["import_sources.unmodified"].sql, name)
                return None
            report = await product_imports.import_file(
                owner, path, mapping, run, rejects_path, force, on_progress, settings.max_source_bytes
            )
    await owner.execute(
        QUERIES["import_sources.succeeded"].sql, name, imported_with, validators.etag, validators.last_modified
    )
    return report


@contextlib.asynccontextmanager
async def _locked(owner: asyncpg.Connection[Any], name: str) -> AsyncIterator[None]:
    if not await owner.fetchval(QUERIES["import_sources.try_lock"].sql, name):
        raise SourceBusy(f"source {name} is being fetched already")
    try:
        yield
    finally:
        with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            await owner.execute(QUERIES["import_sources.unlock"].sql, name)


async def fetch_due(owner: asyncpg.Connection[Any], settings: Settings) -> AsyncIterator[Due]:
    """Fetches the sources that are due, one after another; the failure of one stops no other. Raises ImportFailed while
    imports are switched off."""
    await import_runs.require_switched_on(owner)
    for row in await owner.fetch(QUERIES["import_sources.due"].sql):
        try:
            yield Due(row["name"], await fetch(owner, settings, row["name"], started_by=SCHEDULE))
        except ImportFailed as error:
            yield Due(row["name"], error=str(error))
        except asyncpg.PostgresError as error:
            yield Due(row["name"], error=f"the database: {type(error).__name__}")
        except SourceBusy:
            continue


async def run_due(services: Services) -> int:
    """Starts the import of sources that are due. Returns how many were. Raises ImportsFailed, also if this server does
    not know the owner's log-in."""
    async with services.database.session(SERVICE, read_only=True) as session:
        due: int = await session.fetchval("import_sources.due_count")
    if not due or Switch.IMPORTS in await switches.off(services.database):
        return 0
    settings = services.settings
    if not settings.uses_embedded_server and not settings.migration_database_url:
        raise ImportsFailed(
            f"{due} sources are due: set MIGRATION_DATABASE_URL, or run `aclue import due` where it is set"
        )
    code, errors = await subcommands.run("import", "due")
    if code:
        raise ImportsFailed(errors)
    return due
