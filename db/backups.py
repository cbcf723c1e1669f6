"""Takes backups of the embedded Postgres, full or incremental, and keeps its WAL archived: docs/backup.md."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from db import postmasters, privacy, wal_archives
from db.backup_folders import Backup, BackupError, BackupFolder, Kind
from db.embedded import Dsns
from db.privacy import Tombstone
from db.programs import ProgramError
from db.queries import QUERIES
from db.secrets import Secrets
from domain.sealing import Sealer

TOMBSTONES = "tombstones.jsonl"
SECRETS = "secrets.sealed"
_PURPOSE = "backup"
_ARCHIVING_SECONDS = 60
_NUDGE_SECONDS = 3


@dataclass(frozen=True)
class Taken:
    """A backup that was made."""

    backup: Backup
    expired: list[Backup]
    interrupted: list[str]
    """Names of interrupted backups that were removed."""
    notes: list[str]


@dataclass(frozen=True, slots=True)
class Archiving:
    """How a running server archives its WAL."""

    folder: str | None
    is_on: bool
    last_archived_at: datetime | None
    failing: str | None
    """The segment that cannot be archived."""
    seconds: float
    """Since the last segment was archived: at most what the loss of the disk would cost now."""


@contextlib.asynccontextmanager
async def connected_as_superuser(dsns: Dsns) -> AsyncIterator[asyncpg.Connection[Any]]:
    assert dsns.superuser
    connection = await asyncpg.connect(dsns.superuser)
    try:
        yield connection
    finally:
        await connection.close()


def seal(secrets: Secrets, backup_secret: str, system_identifier: str) -> bytes:
    """secrets.json, encrypted for this database."""
    text = msgspec.json.encode(secrets).decode()
    return Sealer(backup_secret.encode(), _PURPOSE).seal(text, system_identifier)


def unseal(folder: BackupFolder, backup_secret: str) -> Secrets | None:
    """The secrets in a folder of backups; None if it has none. Raises BackupError for another BACKUP_SECRET."""
    file = folder.path / SECRETS
    if not file.exists():
        return None
    text = Sealer(backup_secret.encode(), _PURPOSE).open(file.read_bytes(), folder.system_identifier)
    if text is None:
        raise BackupError(f"{file}: was encrypted with another BACKUP_SECRET")
    return msgspec.json.decode(text, type=Secrets)


def fingerprint(secrets: Secrets) -> str:
    return hashlib.sha256(msgspec.json.encode(secrets)).hexdigest()


def tombstones_in(folder: BackupFolder) -> list[Tombstone]:
    """Tombstones as of the newest backup. Raises BackupError."""
    file = folder.path / TOMBSTONES
    try:
        return privacy.read_tombstones(file.read_text().splitlines()) if file.exists() else []
    except (OSError, UnicodeDecodeError, privacy.BadTombstones) as error:
        raise BackupError(f"{file}: is damaged: {error}") from None


async def archiving(superuser: asyncpg.Connection[Any]) -> Archiving:
    row = await superuser.fetchrow(QUERIES["backups.archiving"].sql)
    assert row
    folder = wal_archives.folder_of(row["command"])
    return Archiving(folder, row["is_on"], row["last_archived_time"], row["failing"], row["seconds"])


async def complete_archive(superuser: asyncpg.Connection[Any], folder: BackupFolder) -> datetime:
    """Archives what was written until now, and returns the time up to which a restore is possible. Raises BackupError
    if that takes more than a minute."""
    deadline = time.monotonic() + _ARCHIVING_SECONDS
    while time.monotonic() < deadline:
        until: datetime = await superuser.fetchval(QUERIES["backups.commit"].sql)
        segment = folder.wal / f"{await superuser.fetchval(QUERIES['backups.switch'].sql)}.gz"
        # A segment that was completed while the archive command was being changed may have gone elsewhere.
        patience = time.monotonic() + _NUDGE_SECONDS
        while time.monotonic() < patience:
            if segment.exists():
                return until
            await asyncio.sleep(0.05)
    failing = (await archiving(superuser)).failing
    raise BackupError(f"{folder.wal}: WAL is not archived{f', {failing} failed' if failing else ''}; see postgres/log")


async def mark(superuser: asyncpg.Connection[Any], folder: BackupFolder) -> datetime:
    """A time that can be restored to, between two commits. Raises BackupError."""
    await superuser.fetchval(QUERIES["backups.commit"].sql)
    time: datetime = await superuser.fetchval("select clock_timestamp()")
    await complete_archive(superuser, folder)
    return time


async def _archive_to(superuser: asyncpg.Connection[Any], folder: BackupFolder) -> list[str]:
    """Makes the server archive to this folder; returns what the operator should know."""
    found, notes = await archiving(superuser), []
    wanted = {
        "archive_command": wal_archives.archive_command(folder.wal),
        "archive_timeout": f"{wal_archives.TIMEOUT_SECONDS}s",
        "summarize_wal": "on",  # incremental backups need it
    }
    for name, value in wanted.items():
        quoted = value.replace("'", "''")
        await superuser.execute(f"alter system set {name} = '{quoted}'")
    await superuser.execute("select pg_reload_conf()")
    if found.folder is not None and found.folder != str(folder.wal):
        notes.append(f"WAL was archived to {found.folder} until now; backups there cannot be restored to later times")
    if not found.is_on:
        notes.append(
            "this server was started by an earlier version: restart `aclue serve`, so that WAL is archived; until "
            "then a restore reaches the times of backups only"
        )
    elif found.folder != str(folder.wal):
        await complete_archive(superuser, folder)  # segments may go elsewhere until the change has reached the archiver
    return notes


async def take(
    dsns: Dsns,
    data: Path,
    folder: BackupFolder,
    secrets: Secrets,
    *,
    backup_secret: str = "",
    full: bool = False,
    keep: timedelta,
) -> Taken:
    """Makes a backup and verifies it; then removes expired ones. Raises BackupError; earlier backups stay usable."""
    async with connected_as_superuser(dsns) as superuser:
        with folder.locked():
            row = await superuser.fetchrow(QUERIES["backups.database"].sql)
            assert row
            identifier, timeline = row["system_identifier"], int(row["timeline"], 16)
            folder.claim(identifier)
            if any(backup.timeline > timeline for backup in folder.backups()):
                raise BackupError(
                    f"{folder.path}: has backups of this database as it went on after a restore; choose another folder"
                )
            interrupted = folder.interrupted()
            for path in interrupted:
                shutil.rmtree(path)
            notes = await _archive_to(superuser, folder)
            backup = await _base_backup(superuser, data, folder, secrets, timeline, full, notes)
            await _write_tombstones(superuser, folder)
            if backup_secret:
                folder.write(SECRETS, seal(secrets, backup_secret, identifier))
            if (await archiving(superuser)).is_on:
                await complete_archive(superuser, folder)
            expired = folder.expire(keep, backup.finished_at)
    return Taken(backup, expired, [path.name for path in interrupted], notes)


async def _base_backup(
    superuser: asyncpg.Connection[Any],
    data: Path,
    folder: BackupFolder,
    secrets: Secrets,
    timeline: int,
    full: bool,
    notes: list[str],
) -> Backup:
    started = await superuser.fetchval("select clock_timestamp()")
    parent = None if full else folder.parent_for_next(timeline, started)
    if parent:
        try:
            name = _run(data, folder, secrets, started, parent)
        except ProgramError as error:
            if "summar" not in str(error):
                raise BackupError(f"the backup failed: {error}") from None
            notes.append(f"the backup is a full one, as what changed since {parent.name} is no longer known")
            parent = None
    if parent is None:
        try:
            name = _run(data, folder, secrets, started, None)
        except ProgramError as error:
            raise BackupError(f"the backup failed: {error}") from None
    manifest, digest = folder.manifest(name)
    (span,) = [each for each in manifest.ranges if each.timeline == timeline]
    backup = Backup(
        name=name,
        kind=Kind.INCREMENTAL if parent else Kind.FULL,
        parent=parent.name if parent else None,
        started_at=started,
        finished_at=await superuser.fetchval("select clock_timestamp()"),
        timeline=timeline,
        start_lsn=span.start_lsn,
        end_lsn=span.end_lsn,
        bytes=sum(path.stat().st_size for path in (folder.path / name).rglob("*") if path.is_file()),
        manifest_sha256=digest,
        secrets_sha256=fingerprint(secrets),
    )
    if damaged := next(folder.damage(backup), None):
        raise BackupError(f"the backup failed: {damaged}")
    folder.write(f"{name}.json", msgspec.json.encode(backup))
    return backup


def _run(data: Path, folder: BackupFolder, secrets: Secrets, started: datetime, parent: Backup | None) -> str:
    """Runs pg_basebackup; returns the backup's name. It removes what it has written if it fails."""
    running = postmasters.find(data)
    if running is None:
        raise BackupError("the embedded Postgres stopped")
    kind = Kind.INCREMENTAL if parent else Kind.FULL
    name = f"{started.astimezone(UTC):%Y%m%dT%H%M%SZ}-{kind.value}"
    increment = (f"--incremental={folder.folder_of(parent) / 'backup_manifest'}",) if parent else ()
    folder.runs.run(
        "pg_basebackup",
        *("--host", str(running.socket_folder), "--username=postgres", "--no-password"),
        *("--pgdata", str(folder.path / name), "--checkpoint=fast", "--manifest-checksums=SHA256"),
        *increment,
        password=secrets.superuser_password,
    )
    return name


async def _write_tombstones(superuser: asyncpg.Connection[Any], folder: BackupFolder) -> None:
    """Adds tombstones of the database to those that are known. Before the first migration it has none."""
    if await superuser.fetchval("select to_regclass('public.erasure_tombstones')") is None:
        return
    known = {each.subject_hash: each for each in (*tombstones_in(folder), *await privacy.tombstones(superuser))}
    folder.write(TOMBSTONES, b"".join(msgspec.json.encode(each) + b"\n" for each in known.values()))
