"""Restores backups of the embedded Postgres, and drills that: docs/backup.md."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import asyncpg
import msgspec
import typer

from commands.backups import Folder, now, opened, reported, shown, state_of
from commands.database import bring_up_to_date, run_verification
from commands.terminal import api_database, connected_as_owner, databases, fail, load_settings, note
from db import backups, data_folder, postmasters, privacy, restores, secrets
from db.backup_folders import BackupError, BackupFolder
from db.backups import Archiving
from db.claims import SERVICE
from db.embedded import Dsns, EmbeddedServer
from db.privacy import Tombstone
from db.restores import Choice, Contents
from db.secrets import Secrets
from db.verification import report as verification_report
from domain.tombstones import Tombstones
from services import ledger
from settings import Settings, SettingsError

LEDGER_TIMEOUT_MS = 60 * 60 * 1000
DRILLS = "drills.jsonl"
_SCRATCH = "drill"


class Drill(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What a drill found: a line of drills.jsonl."""

    at: datetime
    backup: str
    restored_to: datetime
    newest_transaction: datetime | None
    recovery_seconds: float
    """Until the restored server was checked: the recovery time (RTO)."""
    loss_seconds: float
    """How old unarchived changes may have been when the drill started: the recovery point (RPO)."""
    rows: int
    passed: bool


@dataclass(frozen=True)
class Findings:
    """What was done to a restored database, and what was found."""

    newest_transaction: datetime | None
    migrated: int
    erased: int
    ended: int
    """Sessions, because they may have been revoked after the time that was restored."""
    conversions: int
    ledger_differs: bool
    verification: str
    verification_failed: bool
    contents: Contents

    @property
    def is_sound(self) -> bool:
        return not (self.ledger_differs or self.verification_failed or self.contents.unprotected)


def _target(text: str) -> datetime | str | None:
    """A time, or the name of a backup, which is checked later."""
    if not text or text.endswith(("-full", "-incremental")):
        return text or None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        fail(f"--to: {text!r} is neither a time such as 2026-11-30T10:00:00Z nor the name of a backup")
    if found.tzinfo is None:
        fail(f"--to: {text} has no time zone; write {text}Z for UTC, or an offset such as +01:00")
    return found


def restore(
    folder: Annotated[Path, typer.Argument(help="The folder of backups.")],
    to: Annotated[
        str, typer.Option(help="A time with its zone (2026-11-30T10:00:00Z), or a backup. Default: all.")
    ] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Move the data of ACLUE_HOME aside, and replace them.")
    ] = False,
    tombstones: Annotated[
        Path | None, typer.Option(help="Erasures to repeat, from `aclue privacy tombstones`; those known here are.")
    ] = None,
) -> None:
    """Restore a backup and the WAL since into ACLUE_HOME; repeat erasures; check the ledger and run `aclue verify`.

    Exits with 1 if it failed, or if a check of the restored data did."""
    settings, wanted = load_settings(), _target(to)
    started, place = time.monotonic(), settings.home / data_folder.NAME
    source = opened(settings, folder)
    more = _read_tombstones(tombstones)
    if os.path.lexists(place) and not force:
        fail(f"{place} exists: --force moves it aside; or set ACLUE_HOME to a new folder")
    with reported():
        os.close(data_folder.lock(settings.home))  # fails if `aclue serve` is running
        home_secrets = _secrets_for(settings, source)
        if os.path.lexists(place):
            more += _finish(settings, home_secrets, source)
        lock = data_folder.lock(settings.home)
        try:
            with source.locked():
                choice = _chosen(source, home_secrets, wanted)
                more += backups.tombstones_in(source)
                with restores.restored(settings.home, source, choice, home_secrets) as restored:
                    is_earlier = wanted is not None
                    findings = asyncio.run(_examine(settings, restored.dsns, home_secrets, more, is_earlier=is_earlier))
                    former = restored.place(now())
        finally:
            os.close(lock)
    _print(choice, findings, time.monotonic() - started)
    if wanted is not None and not former:
        note(f"erasures after {source.backups()[-1].name} were repeated only if --tombstones has them", "yellow")
    if wanted is not None:
        note(
            "roles, passwords, second factors and senders of postbacks are as they were then: revoke again what was "
            "revoked since (`aclue roles list`, `aclue network senders list`)",
            "yellow",
        )
    if former:
        print(f"{'former data':<20}{former}")
    note(f"WAL is not archived now: run `aclue backup {source.path}`", "yellow")
    raise typer.Exit(0 if findings.is_sound else 1)


def _read_tombstones(file: Path | None) -> list[Tombstone]:
    try:
        return privacy.read_tombstones(file.read_text().splitlines()) if file else []
    except (OSError, UnicodeDecodeError, privacy.BadTombstones) as error:
        fail(f"{file}: {getattr(error, 'strerror', None) or error}")


def _secrets_for(settings: Settings, source: BackupFolder) -> Secrets:
    """Those of ACLUE_HOME; in a new one, those that the backup has sealed."""
    if not secrets.file_of(settings.home).exists():
        sealed = backups.unseal(source, settings.backup_secret) if settings.backup_secret else None
        if sealed is None:
            raise BackupError(
                f"{secrets.file_of(settings.home)}: is missing; copy the one of the installation there, or set "
                "BACKUP_SECRET if it was set when the backup was made"
            )
        secrets.create(settings.home, sealed)
    return secrets.load_or_create(settings.home)


def _chosen(source: BackupFolder, home_secrets: Secrets, to: datetime | str | None) -> Choice:
    choice = restores.choose(source, to, now())
    if choice.chain[-1].secrets_sha256 != backups.fingerprint(home_secrets):
        raise BackupError(
            f"secrets.json is not the one that belongs to {choice.chain[-1].name}; restore that file first"
        )
    for fault in choice.damage:
        note(fault, "yellow")
    return choice


def _finish(settings: Settings, home_secrets: Secrets, source: BackupFolder) -> list[Tombstone]:
    """Opens the data that will be moved aside once more: archives the rest of their WAL, and returns the tombstones."""
    try:
        with EmbeddedServer(settings.home, home_secrets) as dsns:
            return asyncio.run(_finished(dsns, source))
    except (SettingsError, BackupError, OSError, asyncpg.PostgresError) as error:
        note(
            f"the former data cannot be read ({error}): what they have in addition to the archive is not restored, and "
            "erasures after the newest backup are not repeated unless --tombstones has them",
            "yellow",
        )
        return []


async def _finished(dsns: Dsns, source: BackupFolder) -> list[Tombstone]:
    async with backups.connected_as_superuser(dsns) as superuser:
        state = await backups.archiving(superuser)
        if state.is_on and state.folder == str(source.wal):
            await backups.complete_archive(superuser, source)
        return await privacy.tombstones(superuser)


async def _examine(
    settings: Settings, dsns: Dsns, home_secrets: Secrets, more: Sequence[Tombstone], *, is_earlier: bool = False
) -> Findings:
    async with backups.connected_as_superuser(dsns) as superuser:
        newest = await restores.newest_transaction(superuser)
    migrated = await bring_up_to_date(dsns)
    secret = settings.erasure_secret or settings.jwt_secret or home_secrets.jwt
    async with connected_as_owner(dsns) as owner:
        erased = await privacy.reapply(owner, Tombstones(secret.encode()).of, more)
        ended = await restores.end_what_may_be_revoked(owner) if is_earlier else 0
        contents = await restores.contents(owner)
    async with (
        api_database(settings, dsns) as database,
        database.session(SERVICE, read_only=False, statement_timeout_ms=LEDGER_TIMEOUT_MS) as session,
    ):
        conversions, differs = await ledger.rebuild_and_compare(session)
        session.mark_rollback()
    results = await run_verification(settings, dsns)
    # A restore is not worse for being slow now; what is slow is printed.
    has_failed = verification_report.exit_code(each for each in results if each.check.group != "performance") == 1
    if verification_report.exit_code(results) == 1:
        verification_report.print_table(results)
    return Findings(
        newest,
        len(migrated.names),
        erased,
        ended,
        conversions,
        differs,
        verification_report.summary(results),
        has_failed,
        contents,
    )


def _print(choice: Choice, found: Findings, seconds: float) -> None:
    last = choice.chain[-1]
    more = f" and {len(choice.chain) - 1} before it" if len(choice.chain) > 1 else ""
    where = "to the end of the archived WAL"
    if choice.to is not None:
        where = "without later WAL" if isinstance(choice.to, str) else f"to {shown(choice.to)}"
    rows = {
        "restored": f"{last.name}{more}, {where}",
        "newest transaction": shown(found.newest_transaction or last.finished_at),
        "migrated": f"{found.migrated} files",
        "erased again": f"{found.erased} people",
        "sessions ended": str(found.ended),
        "tables": f"{found.contents.tables}, {found.contents.rows} rows",
        "ledger": f"{found.conversions} conversions; "
        + ("DIFFERS when rebuilt" if found.ledger_differs else "balances hold"),
        "verify": found.verification,
        "duration": f"{seconds:.1f} s",
    }
    for name, text in rows.items():
        print(f"{name:<20}{text}")
    for table in found.contents.unprotected:
        note(f"{table}: row level security is off", "red")


def drill(folder: Folder = None) -> None:
    """Restore to the present into a scratch server, check it, and print how long that took (RTO) and what a loss of the
    disk would have cost (RPO). The running server is not touched."""
    settings = load_settings()
    source = opened(settings, folder)
    with databases(settings) as dsns, reported():
        home_secrets = secrets.load_or_create(settings.home)
        before, to, live = asyncio.run(_mark(dsns, source))
        started = time.monotonic()
        with source.locked(), _scratch(source) as home:
            choice = _chosen(source, home_secrets, to)
            with restores.restored(home, source, choice, home_secrets) as restored:
                findings = asyncio.run(_examine(settings, restored.dsns, home_secrets, backups.tombstones_in(source)))
        seconds = time.monotonic() - started
        done = Drill(
            at=now(),
            backup=choice.chain[-1].name,
            restored_to=to,
            newest_transaction=findings.newest_transaction,
            recovery_seconds=round(seconds, 1),
            loss_seconds=round(before.seconds, 1),
            rows=findings.contents.rows,
            passed=findings.is_sound,
        )
        earlier = source.path / DRILLS
        lines = source.runs.read(earlier) if earlier.exists() else ""
        source.write(DRILLS, (lines + msgspec.json.encode(done).decode() + "\n").encode())
    _print(choice, findings, seconds)
    print(f"{'rows here':<20}{live.rows}")
    print(f"{'RTO':<20}{seconds:.1f} s")
    print(f"{'RPO':<20}{before.seconds:.1f} s")
    raise typer.Exit(0 if findings.is_sound else 1)


async def _mark(dsns: Dsns, source: BackupFolder) -> tuple[Archiving, datetime, Contents]:
    async with backups.connected_as_superuser(dsns) as superuser:
        before = await backups.archiving(superuser)
        if not before.is_on or before.folder != str(source.wal):
            raise BackupError(f"{source.path}: {state_of(before, source)} there; run `aclue backup` first")
        to = await backups.mark(superuser, source)
    async with connected_as_owner(dsns) as owner:
        return before, to, await restores.contents(owner)


@contextlib.contextmanager
def _scratch(source: BackupFolder) -> Iterator[Path]:
    """An ACLUE_HOME for a drill, on the disk that has room for backups; what a killed drill left goes first."""
    home = source.path / _SCRATCH
    _discard(home)
    home.mkdir(mode=0o700)
    source.runs.give(home)
    try:
        yield home
    finally:
        _discard(home)


def _discard(home: Path) -> None:
    for place in home.glob(f"{data_folder.NAME}*"):
        if running := postmasters.find(place):
            running.stop()
    if home.exists():
        shutil.rmtree(home)
