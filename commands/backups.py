"""Backups of the embedded Postgres: docs/backup.md."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable, Iterator
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import typer
from typer.core import TyperGroup

from commands.terminal import connected_as_owner, databases, fail, load_settings, note
from db import backup_runs, backups, data_folder, programs, secrets
from db.backup_folders import Backup, BackupError, BackupFolder, Kind
from db.backups import Archiving, Taken
from db.embedded import Dsns, running_dsns
from db.migrations import MigrationError
from db.programs import ProgramError
from settings import Settings, SettingsError

Folder = Annotated[Path | None, typer.Argument(help="Where the backups are. Default: ACLUE_HOME/backups.")]


class BackupGroup(TyperGroup):
    """`aclue backup [DIR]` makes a backup; `list` and `drill` are subcommands."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or args[0] not in (*self.commands, "--help"):
            args = ["take", *args]
        return super().parse_args(ctx, args)


@contextlib.contextmanager
def reported() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        fail(f"{error.filename or 'the backup'}: {error.strerror or error}")
    except (BackupError, ProgramError, MigrationError, SettingsError, asyncpg.PostgresError) as error:
        fail(str(error))


def opened(settings: Settings, path: Path | None, *, create: bool = False) -> BackupFolder:
    if not settings.uses_embedded_server:
        fail(
            "DATABASE_URL: these commands are for the embedded Postgres; back up your own with pgBackRest, or with "
            "what its provider offers: docs/backup.md"
        )
    with reported():
        return BackupFolder.of(path or settings.home / "backups", programs.embedded(), create=create)


def _days(text: str) -> timedelta:
    if not re.fullmatch(r"[1-9]\d{0,4}d", text):
        fail(f"--keep: {text!r} is no number of days such as 30d")
    return timedelta(days=int(text[:-1]))


def now() -> datetime:
    return datetime.now(UTC)


def take(
    folder: Folder = None,
    full: Annotated[
        bool, typer.Option("--full", help="A full one, although the last is less than a week old.")
    ] = False,
    keep: Annotated[
        str, typer.Option(help="For how long any time can be restored; older backups are removed.")
    ] = "30d",
) -> None:
    """Make a backup, of the changes since the last one, or a full one once a week. From the first one on, WAL is
    archived to the same folder."""
    settings, period = load_settings(), _days(keep)
    started = time.monotonic()
    to = opened(settings, folder, create=True)
    with databases(settings) as dsns, reported():
        home_secrets = secrets.load_or_create(settings.home)
        work = backups.take(
            *(dsns, data_folder.data_of(settings.home), to, home_secrets),
            backup_secret=settings.backup_secret,
            full=full,
            keep=period,
        )
        taken = asyncio.run(_recorded(dsns, work, Kind.FULL if full else Kind.INCREMENTAL))
    for name in taken.interrupted:
        note(f"{name} was interrupted and has been removed", "yellow")
    for message in taken.notes:
        note(message, "yellow")
    for expired in taken.expired:
        print(f"removed {expired.name}, older than {keep}")
    print(f"{to.folder_of(taken.backup)}: {_size(taken.backup.bytes)}, {time.monotonic() - started:.1f} s")
    if not settings.backup_secret:
        note(
            f"not in the backup: {secrets.file_of(settings.home)}; keep a copy elsewhere, or set BACKUP_SECRET",
            "yellow",
        )


async def _recorded(dsns: Dsns, work: Awaitable[Taken], wanted: Kind) -> Taken:
    """Makes the backup, and records in the database how that ended."""
    try:
        taken = await work
    except Exception as error:
        with contextlib.suppress(asyncpg.PostgresError, OSError):  # the first error says more
            async with backups.connected_as_superuser(dsns) as superuser:
                await backup_runs.record(superuser, wanted.value, f"{type(error).__name__}: {error}")
        raise
    async with backups.connected_as_superuser(dsns) as superuser:
        await backup_runs.record(superuser, taken.backup.kind.value)
    return taken


class RunKind(Enum):
    """What pgBackRest calls kinds of backups."""

    FULL = "full"
    DIFF = "diff"
    INCR = "incr"


_RECORDED_AS = {RunKind.FULL: "full", RunKind.DIFF: "differential", RunKind.INCR: "incremental"}


def record(
    kind: Annotated[RunKind, typer.Argument(help="What was made, or should have been.")],
    failed: Annotated[str, typer.Option(help="Why there is no backup.")] = "",
) -> None:
    """Record a backup that another tool made of your own Postgres, so that /metrics and its alerts know of it."""
    with databases(load_settings()) as dsns:
        asyncio.run(_record(dsns, _RECORDED_AS[kind], failed))


async def _record(dsns: Dsns, kind: str, failure: str) -> None:
    async with connected_as_owner(dsns) as owner:
        await backup_runs.record(owner, kind, failure)


def _size(number: int) -> str:
    return f"{number / 1_000_000:.1f} MB"


def list_backups(
    folder: Folder = None,
    check: Annotated[bool, typer.Option("--check", help="Read all files, and name damaged and missing ones.")] = False,
) -> None:
    """List backups, interrupted ones too, and the state of the WAL archive. Exits with 1 if something is wrong."""
    settings = load_settings()
    where = opened(settings, folder)
    with reported():
        known, interrupted = where.backups(), where.interrupted()
        for backup in known:
            print(f"{backup.name:<32}{_size(backup.bytes):>12}  restores to {shown(backup.finished_at)} or later")
        faults = [f"{path}: was interrupted; the next backup removes it" for path in interrupted]
        if check:
            faults += [fault for backup in known for fault in where.damage(backup)]
            faults += where.damage_of_wal(_oldest_of_its_timeline(known)) if known else ()
        running = running_dsns(settings.home, secrets.load_or_create(settings.home))
        if running:
            state = asyncio.run(_archiving(running))
            print(state_of(state, where))
            if state.failing:
                faults.append(f"{where.wal}: {state.failing} cannot be archived; see postgres/log")
    for fault in faults:
        note(fault, "red")
    raise typer.Exit(1 if faults else 0)


def _oldest_of_its_timeline(known: list[Backup]) -> Backup:
    return next(backup for backup in known if backup.timeline == known[-1].timeline)


async def _archiving(dsns: Dsns) -> Archiving:
    async with backups.connected_as_superuser(dsns) as superuser:
        return await backups.archiving(superuser)


def state_of(state: Archiving, folder: BackupFolder) -> str:
    if not state.is_on or state.folder != str(folder.wal):
        return f"WAL is archived to {state.folder}" if state.is_on and state.folder else "WAL is not archived"
    last = shown(state.last_archived_at) if state.last_archived_at else "never"
    return f"WAL is archived; last at {last}"


def shown(time: datetime | None) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds") if time else "unknown"
