"""Imports feeds from URLs, and lists where they come from."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import asyncpg
import msgspec
import typer

from commands.terminal import connected_as_owner, databases, fail, load_settings, progress, user_name
from db import product_imports
from db.embedded import Dsns
from db.product_imports import ImportReport
from db.queries import QUERIES
from domain.feed_mappings import ImportFailed, Mapping, Shop
from services import import_sources
from services.import_sources import Due, SourceBusy
from settings import Settings


def fetch(settings: Settings, source: str, shop: Shop, rejects: Path | None, force: bool) -> None:
    """Fetches and imports a source, which is stored if it is named by its mapping."""
    shipped = product_imports.MAPPINGS / f"{source}.toml"
    file = shipped if shipped.exists() else Path(source)
    name = file.stem if file.suffix == ".toml" else source
    listed = rejects or Path.cwd() / f"{name}.rejects.tsv"
    try:
        mapping = product_imports.load_mapping(file, shop) if file.is_file() else None
        with databases(settings) as dsns:
            report = asyncio.run(_fetch(dsns, settings, name, mapping, listed, force))
    except (ImportFailed, SourceBusy) as error:
        fail(str(error))
    if report is None:
        print(f"the feed of {name} has not changed since its last import; nothing was written")
    else:
        print_report(report, listed, force)


def sources(
    remove: Annotated[str, typer.Option(help="Forget this one; its products stay.")] = "",
) -> None:
    """List the feeds that are fetched from a URL: how often, when next, and failures in a row."""
    with databases(load_settings()) as dsns:
        rows = asyncio.run(_sources(dsns, remove))
    for row in rows:
        source = msgspec.json.decode(row["mapping"], type=Mapping).source
        every = (source and source.every) or "by hand"
        due = f"next {row['next_at']:%Y-%m-%d %H:%M}" if row["next_at"] else ""
        failed = f"failed {row['failures']} times" if row["failures"] else ""
        print("  ".join(part for part in (row["name"], every, due, failed, source.url if source else "") if part))
    if not rows:
        print("there are no sources: aclue import products --source MAPPING adds one")


def due() -> None:
    """Import the sources that are due. A server does this every minute where it knows the owner's log-in."""
    settings = load_settings()
    with databases(settings) as dsns:
        try:
            all_done = asyncio.run(_due(dsns, settings))
        except ImportFailed as error:
            fail(str(error))
        for done in all_done:
            if done.report is not None:
                print(f"{done.name}: {done.report.written} of {done.report.read} written by import {done.report.run}")
            else:
                print(f"{done.name}: {done.error or 'has not changed'}")


def print_report(report: ImportReport, rejects: Path | None, force: bool) -> None:
    """Prints what an import wrote; `rejects` is where it listed what it refused."""
    if report.run is None:
        print("nothing was written; this is what would be:")
    else:
        print(f"{'import':14}{report.run:>10}")
    for name in ("read", "continuations", "rejected", "inserted", "updated", "unchanged", "deactivated", "reactivated"):
        print(f"{name:14}{getattr(report, name):>10}")
    for name in ("merged", "split"):
        if getattr(report, name):
            print(f"{name:14}{getattr(report, name):>10}")
    if report.warnings:
        print(f"{'warnings':14}{report.warnings:>10}")
    if report.untracked:
        print(f"{'untracked':14}{report.untracked:>10}")
        print("untracked links are the shop's own, or of a shape in which its network reads no click id")
    for note in report.notes:
        print(note)
    for slug, old, new in report.networks:
        print(f"the network of {slug} was {old} and is {new}")
    if rejects and (report.rejected or report.warnings):
        print(f"rejects and warnings are listed in {rejects}")
    if report.fault_line is not None and not force:
        print(
            f"line {report.fault_line} does not fit the format, so lines may be missing: no product was deactivated "
            "(--force does)"
        )
    elif report.deactivation_skipped:
        print("the feed of a shop shrank by more than 30 %: none of its products was deactivated (--force does)")


async def _fetch(
    dsns: Dsns, settings: Settings, name: str, mapping: Mapping | None, rejects: Path, force: bool
) -> ImportReport | None:
    async with connected_as_owner(dsns) as owner:
        if mapping is not None:
            await import_sources.save(owner, name, mapping)
        with progress(f"Importing {name}") as advance:
            return await import_sources.fetch(
                owner,
                settings,
                name,
                started_by=user_name(),
                rejects_path=rejects,
                force=force,
                on_progress=lambda rows: advance(f"{rows} rows"),
            )


async def _sources(dsns: Dsns, remove: str) -> list[asyncpg.Record]:
    async with connected_as_owner(dsns) as owner:
        if remove and not await owner.fetchval(QUERIES["import_sources.remove"].sql, remove):
            fail(f"there is no source {remove!r}")
        return await owner.fetch(QUERIES["import_sources.all"].sql)


async def _due(dsns: Dsns, settings: Settings) -> list[Due]:
    async with connected_as_owner(dsns) as owner:
        return [done async for done in import_sources.fetch_due(owner, settings)]
