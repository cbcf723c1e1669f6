"""Migrates, checks and opens the database."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from typing import Annotated
from urllib.parse import unquote, urlsplit, urlunsplit

import typer

from commands.terminal import connected, connected_as_owner, databases, fail, load_settings, owner_of, progress
from db import backup_runs, embedded, instruments, migrations, programs, reference, rollbacks, secrets
from db.dsn import for_libpq
from db.embedded import Dsns
from db.migrations import MigrationError, MigrationPlan
from db.verification import distribution, distribution_report
from db.verification import report as verification_report
from db.verification.check import Result
from db.verification.run import CHECKS
from db.verification.run import verify as run_checks
from settings import Settings


async def bring_up_to_date(dsns: Dsns, to: str = "") -> MigrationPlan:
    """Applies pending files; returns their names."""
    async with connected_as_owner(dsns) as owner:
        with progress("Migrating") as advance:
            done = await migrations.migrate(owner, to=to, on_applied=lambda name: advance(name))
        if not done.stops_short:
            await migrations.ensure_api_login(owner, dsns.api)
            await migrations.ensure_worker_login(owner, dsns.api, dsns.worker)
            await migrations.turn_off_jit(owner)
            with progress("Loading the reference data"):
                await reference.load_missing(owner)
                await instruments.load_missing(owner)
    return done


async def _plan(dsns: Dsns, to: str, is_rollback: bool) -> tuple[list[str], bool]:
    """The names of pending files, and whether repeatable files would be skipped."""
    async with connected_as_owner(dsns) as owner:
        if is_rollback:
            return [file.name for file in await rollbacks.plan_rollback(owner)], False
        todo = await migrations.plan(owner, to=to)
        return todo.names, todo.stops_short


async def _require_backup(settings: Settings, dsns: Dsns, to: str, is_rollback: bool) -> None:
    """Refuses to change the tables of a production database that has not been backed up lately. A new database, and
    files that only replace functions, views and policies, need no backup."""
    if not settings.is_production:
        return
    async with connected_as_owner(dsns) as owner:
        if not await migrations.applied_files(owner):
            return
        if not is_rollback and not (await migrations.plan(owner, to=to)).migrations:
            return
        age = await backup_runs.age(owner)
    if age is None or age > settings.migration_backup_age:
        known = "none is recorded" if age is None else f"the last recorded one is {age / 3600:.1f} hours old"
        fail(
            f"this changes tables, and there is no backup of the last {settings.migration_backup_age / 3600:g} hours: "
            f"{known}. Make one and record it (`aclue backup record`), or pass --without-backup"
        )


async def _rollback(dsns: Dsns, accept_data_loss: bool) -> list[str]:
    async with connected_as_owner(dsns) as owner:
        return await rollbacks.rollback(owner, accept_data_loss=accept_data_loss)


def migrate(
    plan: Annotated[bool, typer.Option("--plan", help="Say what would run; change nothing.")] = False,
    to: Annotated[
        str, typer.Option(help="Stop after this migration (timestamp or name); functions, views, policies wait.")
    ] = "",
    rollback: Annotated[bool, typer.Option("--rollback", help="Undo what the last run applied.")] = False,
    accept_data_loss: Annotated[
        bool, typer.Option("--accept-data-loss", help="With --rollback: even where rows go with it.")
    ] = False,
    without_backup: Annotated[
        bool, typer.Option("--without-backup", help="In production: even if no backup was recorded lately.")
    ] = False,
) -> None:
    """Bring the database to the state of sql/, as its owner (MIGRATION_DATABASE_URL).

    In production, changes of tables need a backup of the last MIGRATION_BACKUP_AGE seconds.
    """
    if rollback and to:
        fail("--rollback undoes the last run; it has no use for --to")
    if accept_data_loss and not rollback:
        fail("--accept-data-loss belongs to --rollback")
    settings = load_settings()
    with databases(settings) as dsns:
        try:
            if not plan and not without_backup:
                asyncio.run(_require_backup(settings, dsns, to, rollback))
            if plan:
                names, stops_short = asyncio.run(_plan(dsns, to, rollback))
            elif rollback:
                gone = asyncio.run(_rollback(dsns, accept_data_loss))
            else:
                done = asyncio.run(bring_up_to_date(dsns, to))
                names, stops_short = done.names, done.stops_short
        except MigrationError as error:
            fail(str(error))
    if rollback and not plan:
        print("\n".join(f"undid {name}" for name in gone))
        return
    if plan and names:
        print("\n".join(f"would run {name}" for name in names))
    else:
        print(f"{len(names)} files applied" if names else "up to date")
    if stops_short:
        print("functions, views and policies wait until the newest migration is applied; `serve` does so, too")


def verify(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")] = False,
    list_only: Annotated[bool, typer.Option("--list", help="List the checks; run none.")] = False,
    distributable: Annotated[
        bool,
        typer.Option("--distributable", help="Check instead whether people's tables can be distributed by person."),
    ] = False,
) -> None:
    """Check a deployed database: tables, policies, grants, what each role can do, speed. Changes nothing.

    Exit code 0: all passed. 1: some failed. 3: none failed, but some did not run, as they need MIGRATION_DATABASE_URL.
    """
    if list_only:
        print(verification_report.as_list(CHECKS))
        return
    settings = load_settings()
    if distributable:
        with databases(settings) as dsns:
            found = asyncio.run(_examine_distribution(settings, dsns))
        print(distribution_report.as_json(found)) if as_json else distribution_report.print_report(found)
        raise typer.Exit(verification_report.exit_code(found.results))
    with databases(settings) as dsns:
        results = asyncio.run(run_verification(settings, dsns))
    if as_json:
        print(verification_report.as_json(results))
    else:
        verification_report.print_table(results)
    raise typer.Exit(verification_report.exit_code(results))


async def run_verification(settings: Settings, dsns: Dsns) -> list[Result]:
    """Runs all checks, those of the owner only if its log-in is known."""
    async with contextlib.AsyncExitStack() as stack:
        api = await stack.enter_async_context(connected(dsns.api, "DATABASE_URL"))
        owner = None
        if dsns.owner:
            owner = await stack.enter_async_context(connected_as_owner(dsns))
        results = []
        with progress("Verifying") as advance:
            async for result in run_checks(api, owner, settings):
                advance(result.check.name)
                results.append(result)
        return results


async def _examine_distribution(settings: Settings, dsns: Dsns) -> distribution.Distribution:
    from schema.schema import row_types  # takes a second to import

    async with contextlib.AsyncExitStack() as stack:
        api = await stack.enter_async_context(connected(dsns.api, "DATABASE_URL"))
        owner = await stack.enter_async_context(connected_as_owner(dsns)) if dsns.owner else None
        return await distribution.examine(api, owner, settings, row_types())


def dsn(
    superuser: Annotated[bool, typer.Option(help="Of the superuser instead (embedded server only).")] = False,
    owner: Annotated[bool, typer.Option(help="Of the owner of the schema instead.")] = False,
) -> None:
    """Print the URL of the running database, as the API logs in."""
    settings = load_settings()
    if settings.uses_embedded_server:
        dsns = embedded.running_dsns(settings.home, secrets.load_or_create(settings.home))
        if dsns is None:
            fail("the embedded Postgres is not running; start it with `make run`")
    else:
        dsns = Dsns(settings.database_url, settings.migration_database_url or None)
    chosen = dsns.superuser if superuser else dsns.owner if owner else dsns.api
    if chosen is None:
        fail("this log-in is not known here")
    print(chosen)


def psql(context: typer.Context) -> None:
    """Open psql as the owner of the schema; further arguments go to psql."""
    with databases(load_settings()) as dsns:
        try:
            parts = urlsplit(for_libpq(owner_of(dsns)))
            # The password is passed in the environment, as other users can read command lines.
            environment = {**os.environ, "PGPASSWORD": unquote(parts.password or "")}
            address = (parts.hostname or "") + (f":{parts.port}" if parts.port else "")
            url = urlunsplit(parts._replace(netloc=f"{parts.username}@{address}"))
            command = [str(programs.binary("psql")), url, *context.args]
            finished = subprocess.run(command, check=False, env=environment)  # noqa: S603  the caller's own shell
        except OSError as error:
            fail(f"psql: {error.strerror}")
    raise typer.Exit(finished.returncode)
