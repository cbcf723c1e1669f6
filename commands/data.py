"""Imports, seeds and rebuilds data."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from commands import import_sources
from commands.database import bring_up_to_date
from commands.terminal import (
    api_database,
    connected_as_owner,
    databases,
    fail,
    load_settings,
    progress,
    secret_of,
    user_name,
    uuid_of,
)
from db import product_imports, seeds
from db.embedded import Dsns
from db.feed_detection import detect as detect_mapping
from db.migrations import MigrationError
from db.product_imports import ImportReport
from db.queries import QUERIES
from db.seeds import Seeded, SeedRefused
from domain.feed_mappings import ImportFailed, Shop
from domain.feeds import shown
from domain.seeds import SeedPlan
from settings import Settings

MAX_UNMAPPED_LISTED = 200


def import_products(
    file: Annotated[Path | None, typer.Argument(help="JSON, CSV, TSV or XML, packed or not.")] = None,
    source: Annotated[
        str,
        typer.Option(help="Instead of FILE: a mapping with [source], by name or file, or the name of a stored source."),
    ] = "",
    mapping: Annotated[str, typer.Option(help="A mapping of catalogue/mappings by name, or a TOML file.")] = "",
    rejects: Annotated[
        Path | None, typer.Option(help="Where to list rejected lines (default: FILE.rejects.tsv here).")
    ] = None,
    force: Annotated[
        bool, typer.Option(help="Deactivate what is gone even when the feed shrank by over 30 %.")
    ] = False,
    shop: Annotated[str, typer.Option(help="The shop's slug, in place of the mapping's.")] = "",
    shop_name: Annotated[str, typer.Option(help="The name of a shop that is new.")] = "",
    domain: Annotated[str, typer.Option(help="The shop's domain.")] = "",
    network: Annotated[str, typer.Option(help="The code of the shop's affiliate network.")] = "",
    currency: Annotated[str, typer.Option(help="Of prices that name none.")] = "",
    detect: Annotated[
        bool, typer.Option("--detect", help="Propose a mapping and show the first rows; import nothing.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report what would be written; write nothing.")] = False,
    unmapped: Annotated[
        bool,
        typer.Option("--unmapped", help="List categories without a gift category, after the import or without FILE."),
    ] = False,
) -> None:
    """Import a product feed. Only changed products are written; rejected lines are listed in a file."""
    if source and (file is not None or mapping or detect or dry_run):
        raise typer.BadParameter("goes without FILE, --mapping, --detect and --dry-run", param_hint="--source")
    if file is None and not unmapped and not source:
        raise typer.BadParameter("name a FILE; only --source and --unmapped do without", param_hint="FILE")
    asked = Shop(*(text or None for text in (shop, shop_name, domain, network, currency)))
    if file is not None and detect:
        _detect(file, asked)
        return
    if file is not None and not mapping:
        raise typer.BadParameter("name one, see catalogue/mappings/README.md", param_hint="--mapping")
    settings = load_settings()
    if source:
        import_sources.fetch(settings, source, asked, rejects, force)
    if file is not None:
        _import_file(settings, _Order(file, mapping, asked, rejects, force, dry_run))
    if unmapped:
        with databases(settings) as dsns:
            found = asyncio.run(_unmapped(dsns))
        for products, path in found:
            print(f"{products:>8}  {path}")
        if not found:
            print("every product is in a category whose kind of gift is known")


@dataclass(frozen=True, slots=True)
class _Order:
    file: Path
    mapping: str
    shop: Shop
    rejects: Path | None
    force: bool
    dry_run: bool


def _detect(file: Path, shop: Shop) -> None:
    try:
        found = detect_mapping(file, shop)
    except ImportFailed as error:
        fail(str(error))
    proposal = found.proposal
    if proposal.name is not None:
        print(f"--mapping {proposal.name}")
    else:
        print(f"no shipped mapping fits; a new one:\n\n{proposal.text}")
    for column in proposal.missing:
        print(f"no column was found for {column}")
    for line, reading in found.rows:
        print(f"\nline {line}")
        for reject in (*reading.rejects, *reading.warnings):
            print(f"  {reject.field:24}{reject.value!r}: {reject.reason}")
        for name, value in reading.product._asdict().items() if reading.product else ():
            if value not in (None, [], "[]"):
                print(f"  {name:24}{shown(value)}")


def _import_file(settings: Settings, order: _Order) -> None:
    force, report_path = order.force, order.rejects or Path.cwd() / f"{order.file.name}.rejects.tsv"
    with databases(settings) as dsns:
        try:
            report = asyncio.run(_import_products(dsns, order, report_path))
        except (ImportFailed, MigrationError) as error:
            fail(str(error))
    import_sources.print_report(report, report_path, force)


async def _unmapped(dsns: Dsns) -> list[tuple[int, str]]:
    async with connected_as_owner(dsns) as owner:
        rows = await owner.fetch(QUERIES["product_imports.unmapped"].sql, MAX_UNMAPPED_LISTED)
    return [(row["products"], row["path"]) for row in rows]


async def _import_products(dsns: Dsns, order: _Order, rejects: Path) -> ImportReport:
    shipped = product_imports.MAPPINGS / f"{order.mapping}.toml"
    read = product_imports.load_mapping(shipped if shipped.exists() else Path(order.mapping), order.shop)
    async with connected_as_owner(dsns) as owner:
        with progress(f"Importing {order.file.name}") as advance:
            return await product_imports.import_products(
                owner,
                order.file,
                read,
                rejects_path=rejects,
                force=order.force,
                dry_run=order.dry_run,
                on_progress=lambda rows: advance(f"{rows} rows"),
                started_by=user_name(),
            )


def rebuild_personalities(
    user_id: Annotated[str, typer.Option(help="Of one profile (default: everybody).")] = "",
) -> None:
    """Rebuild personality profiles from quizzes and swipes."""
    subject = uuid_of(user_id, "--user-id")
    settings = load_settings()
    with databases(settings) as dsns:
        done = asyncio.run(_rebuild_personalities(settings, dsns, subject))
    print(f"{done} rebuilt")


async def _rebuild_personalities(settings: Settings, dsns: Dsns, subject: UUID | None) -> int:
    from services import personality

    async with connected_as_owner(dsns) as owner:
        await owner.execute(QUERIES["personality.mark_everybody_due"].sql, subject)
    async with api_database(settings, dsns) as database:
        return await personality.update_from_behaviour(database, limit=sys.maxsize)


def rebuild_preferences(
    user_id: Annotated[str, typer.Option(help="Of one profile (default: everybody who ever swiped).")] = "",
) -> None:
    """Rebuild signals from swipes; preferences follow from them."""
    subject = uuid_of(user_id, "--user-id")
    settings = load_settings()
    with databases(settings) as dsns:
        done = asyncio.run(_rebuild_preferences(settings, dsns, subject))
    print(f"{done} rebuilt")


async def _rebuild_preferences(settings: Settings, dsns: Dsns, subject: UUID | None) -> int:
    from resolvers import preferences
    from services.services import Services

    async with connected_as_owner(dsns) as owner:
        swiped = "select distinct user_id from public.swipes where $1::uuid is null or user_id = $1"
        users = [r[0] for r in await owner.fetch(swiped, subject)]
    async with api_database(settings, dsns) as database:
        issuer = Services.make(settings, database, secret_of(settings)).tokens
        for user in users:
            _, claims = issuer.issue(user)
            async with database.session(claims, read_only=False) as session:
                await preferences.rebuild(session, user)
    return len(users)


def seed(
    users: Annotated[int, typer.Option(help="How many people.", min=0, max=10_000_000)] = 1_000,
    products: Annotated[int, typer.Option(help="How many products.", min=0, max=10_000_000)] = 2_000,
    swipes: Annotated[int, typer.Option(help="How many swipes.", min=0, max=1_000_000_000)] = 50_000,
    seed: Annotated[int, typer.Option(help="Another number makes other rows.", min=0, max=8_388_607)] = 1,
    until: Annotated[
        datetime | None, typer.Option(help="The end of the months made up (UTC; default: this midnight).")
    ] = None,
    force: Annotated[bool, typer.Option(help="Even where ENVIRONMENT is production.")] = False,
) -> None:
    """Add generated people, products and swipes for tests and benchmarks. The same options give the same rows. Existing
    rows are not changed; a seed is loaded once. A large one locks the tables, so stop the server first."""
    settings = load_settings()
    if settings.is_production and not force:
        fail("seed: this is production, and made-up people would be among the real ones; --force does it all the same")
    plan = SeedPlan(
        users, products, swipes, seed, until.replace(tzinfo=UTC) if until else seeds.midnight(datetime.now(UTC))
    )
    with databases(settings) as dsns:
        try:
            started = time.perf_counter()
            done, size = asyncio.run(_seed(settings, dsns, plan))
            seconds = time.perf_counter() - started
        except (MigrationError, SeedRefused) as error:
            fail(str(error))
    for table, rows in done.rows.items():
        print(f"{table:32}{rows:>12,} rows")
    for step, took in done.seconds.items():
        if took >= 0.1:
            print(f"{step:44}{took:>8.1f} s")
    print(f"{swipes:,} swipes and all that follows in {seconds:.0f} s: {sum(done.rows.values()) / seconds:,.0f} rows/s")
    print(f"the database has {size}")


async def _seed(settings: Settings, dsns: Dsns, plan: SeedPlan) -> tuple[Seeded, str]:
    if not settings.is_production:
        await bring_up_to_date(dsns)
    async with connected_as_owner(dsns) as owner:
        with progress("Seeding") as advance:
            done = await seeds.load(owner, plan, advance)
        return done, await owner.fetchval(QUERIES["seeds.database_size"].sql)
