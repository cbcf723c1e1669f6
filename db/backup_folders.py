"""A folder of backups of one embedded Postgres.

    aclue-backups.json        which database it is of
    wal/                      the archived WAL: db/wal_archives.py
    20261130T054500Z-full/    a base backup as pg_basebackup wrote it; or …-incremental/, which needs its parent
    20261130T054500Z-full.json   what is known of it; written last, so without it the backup was interrupted
    tombstones.jsonl          erasures, to be repeated on a restored backup
    secrets.sealed            secrets.json, encrypted with BACKUP_SECRET, if that is set
    drills.jsonl              outcomes of drills
    lock                      locked while a backup is written or restored

It belongs to the user that runs Postgres, and nobody else may enter it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import TypeVar

import msgspec

from db import data_folder, postmasters, wal_archives
from db.programs import ProgramError, Programs
from db.wal_archives import Segment

MARKER = "aclue-backups.json"
_LOCK = "lock"
_FULL_EVERY = timedelta(days=7)
_UNLISTED = {"backup_manifest", "pg_wal"}  # files of a backup that its manifest does not list

Read = TypeVar("Read")


class BackupError(Exception):
    """A backup cannot be made or restored; the message says why, and what would be possible."""


class Kind(Enum):
    FULL = "full"
    INCREMENTAL = "incremental"


class Backup(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A complete backup."""

    name: str
    kind: Kind
    parent: str | None
    started_at: datetime
    finished_at: datetime
    """The earliest time that it can be restored to."""
    timeline: int
    start_lsn: str
    end_lsn: str
    bytes: int
    manifest_sha256: str
    secrets_sha256: str
    """Of the secrets.json that belongs to it."""


class _Marker(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    system_identifier: str


class _Range(msgspec.Struct, frozen=True):
    timeline: int = msgspec.field(name="Timeline")
    start_lsn: str = msgspec.field(name="Start-LSN")
    end_lsn: str = msgspec.field(name="End-LSN")


class _File(msgspec.Struct, frozen=True):
    size: int = msgspec.field(name="Size")
    checksum: str = msgspec.field(name="Checksum")
    path: str = msgspec.field(name="Path", default="")
    encoded_path: str = msgspec.field(name="Encoded-Path", default="")  # hexadecimal, where it is not UTF-8

    @property
    def name(self) -> str:
        return self.path or os.fsdecode(bytes.fromhex(self.encoded_path))


class Manifest(msgspec.Struct, frozen=True):
    """What pg_basebackup says of a backup, in backup_manifest."""

    files: list[_File] = msgspec.field(name="Files")
    ranges: list[_Range] = msgspec.field(name="WAL-Ranges")


class BackupFolder:
    """`BackupFolder.of(path, programs)` checks that the folder is ours."""

    def __init__(self, path: Path, runs: Programs) -> None:
        self.path = path
        self.wal = path / "wal"
        self.runs = runs

    @classmethod
    def of(cls, path: Path, runs: Programs, *, create: bool = False) -> BackupFolder:
        """An existing folder of backups; or with `create` a new or empty one, which becomes one. Raises BackupError."""
        path = path.expanduser().resolve()
        folder = cls(path, runs)
        try:
            folder._require_reach()
            if create and not path.exists():
                path.mkdir(mode=0o700)
            if create and {each.name for each in path.iterdir()} <= {_LOCK}:
                path.chmod(0o700)
                runs.give(path)
            elif not (path / MARKER).is_file():
                more = "; give a new or empty folder" if create else ""
                raise BackupError(f"{path}: is no folder of aclue's backups{more}")
            if not data_folder.is_private(path, runs.uid):
                raise BackupError(
                    f"{path}: must belong to the user {runs.uid}, who runs Postgres, and be closed to all others"
                )
        except OSError as error:
            raise BackupError(f"{path}: {error.strerror or error}") from None
        return folder

    def _require_reach(self) -> None:
        if not self.runs.can_enter(self.path):
            raise BackupError(
                f"{self.path}: the user that runs Postgres cannot enter its parent folders; choose another, such as "
                "/var/backups/aclue"
            )
        if not postmasters.nobody_else_renames_in(self.path.parent):
            raise BackupError(f"{self.path}: other users can rename it, as they may write to a parent folder")

    def claim(self, system_identifier: str) -> None:
        """Makes it the folder of this database. Raises BackupError if it is that of another one."""
        if not (self.path / MARKER).exists():
            self.write(MARKER, msgspec.json.encode(_Marker(system_identifier=system_identifier)))
        elif self.system_identifier != system_identifier:
            raise BackupError(f"{self.path}: contains backups of another database; choose another folder")
        self.wal.mkdir(mode=0o700, exist_ok=True)
        self.runs.give(self.wal)

    @property
    def system_identifier(self) -> str:
        return self._read(self.path / MARKER, _Marker).system_identifier

    def write(self, name: str, content: bytes) -> None:
        """Replaces a file."""
        self.runs.write(self.path / name, content)

    def _read(self, file: Path, kind: type[Read]) -> Read:
        try:
            return msgspec.json.decode(file.read_bytes(), type=kind)
        except OSError as error:
            raise BackupError(f"{file}: {error.strerror}") from None
        except msgspec.DecodeError as error:
            raise BackupError(f"{file}: is damaged: {error}; move it away to use other backups") from None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps out other commands that write here or restore. Raises BackupError if one is running."""
        descriptor = os.open(self.path / _LOCK, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise BackupError(f"{self.path}: another command is backing up or restoring; wait for it") from None
        finally:
            os.close(descriptor)

    def backups(self) -> list[Backup]:
        """The complete ones, oldest first. Raises BackupError if the description of one is damaged."""
        found = []
        for file in self.path.glob("*Z-*.json"):
            backup = self._read(file, Backup)
            if backup.name != file.stem or "/" in (backup.parent or ""):
                raise BackupError(f"{file}: is damaged: it describes {backup.name}")
            found.append(backup)
        return sorted(found, key=lambda backup: backup.finished_at)

    def interrupted(self) -> list[Path]:
        """What interrupted commands left behind."""
        complete = {backup.name for backup in self.backups()}
        return sorted(path for path in self.path.glob("*Z-*") if path.is_dir() and path.name not in complete)

    def folder_of(self, backup: Backup) -> Path:
        return self.path / backup.name

    def chain(self, backup: Backup) -> list[Backup]:
        """The backup and those it needs, the full one first. Raises BackupError if one is missing."""
        known = {each.name: each for each in self.backups()}
        chain = [backup]
        while (parent := chain[0].parent) is not None:
            if parent not in known:
                raise BackupError(f"{self.path / parent}: is missing, and {chain[0].name} needs it")
            chain.insert(0, known[parent])
        return chain

    def parent_for_next(self, timeline: int, now: datetime) -> Backup | None:
        """What the next backup may be an increment to; None if a full one is due."""
        newest = next(reversed(self.backups()), None)
        if newest is None or newest.timeline != timeline:
            return None
        with contextlib.suppress(BackupError):
            return newest if now - self.chain(newest)[0].started_at < _FULL_EVERY else None
        return None

    def manifest(self, name: str) -> tuple[Manifest, str]:
        """What pg_basebackup says of this backup, and the SHA-256 of that file."""
        file = self.path / name / "backup_manifest"
        manifest = self._read(file, Manifest)
        return manifest, hashlib.sha256(file.read_bytes()).hexdigest()

    def damage(self, backup: Backup) -> Iterator[str]:
        """What is wrong with the files of a backup. (The wheel's pg_verifybackup crashes on start.)"""
        folder = self.folder_of(backup)
        try:
            manifest, digest = self.manifest(backup.name)
        except BackupError as error:
            yield str(error)
            return
        if digest != backup.manifest_sha256:
            yield f"{folder / 'backup_manifest'}: is not the one that was written"
            return
        for file in manifest.files:
            yield from _damage(folder / file.name, file)
        listed = {file.name for file in manifest.files}
        for path in folder.rglob("*"):
            name = str(path.relative_to(folder))
            if not path.is_dir() and name.partition("/")[0] not in _UNLISTED and name not in listed:
                yield f"{path}: does not belong to the backup"
        try:
            span = (f"--timeline={backup.timeline}", f"--start={backup.start_lsn}", f"--end={backup.end_lsn}")
            self.runs.run("pg_waldump", "--quiet", f"--path={folder / 'pg_wal'}", *span)
        except ProgramError as error:
            yield f"{folder / 'pg_wal'}: {error}"

    def damage_of_wal(self, backup: Backup) -> Iterator[str]:
        """What is wrong with the archived WAL since this backup."""
        yield from wal_archives.damage(self.wal, Segment.of(backup.timeline, backup.end_lsn))

    def remove(self, backup: Backup) -> None:
        (self.path / f"{backup.name}.json").unlink()  # first: the rest is then removed as interrupted
        shutil.rmtree(self.folder_of(backup), ignore_errors=True)

    def expire(self, keep: timedelta, now: datetime) -> list[Backup]:
        """Removes backups that no time within `keep` needs, and WAL older than the oldest one that stays; returns the
        former. The newest backup stays, and what any that stays needs."""
        backups = self.backups()
        start = now - keep
        needed: set[str] = set()
        base = next((each for each in reversed(backups) if each.finished_at <= start), None)
        for backup in [each for each in backups if each.finished_at > start or each is base]:
            needed.add(backup.name)
            with contextlib.suppress(
                BackupError
            ):  # one without its parent is of no use, and for the operator to remove
                needed.update(each.name for each in self.chain(backup))
        expired = [backup for backup in backups if backup.name not in needed]
        for backup in reversed(expired):  # increments before what they need
            self.remove(backup)
        first = min((Segment.of(each.timeline, each.start_lsn).number for each in self.backups()), default=0)
        for segment in wal_archives.segments(self.wal):
            if segment.number < first:
                wal_archives.file_of(self.wal, segment).unlink()
        return expired


def _damage(path: Path, file: _File) -> Iterator[str]:
    try:
        size = path.lstat().st_size
        if size != file.size:
            yield f"{path}: has {size} bytes instead of {file.size}"
            return
        with path.open("rb") as content:
            if hashlib.file_digest(content, "sha256").hexdigest() != file.checksum:
                yield f"{path}: is damaged: its checksum differs"
    except FileNotFoundError:
        yield f"{path}: is missing"
    except OSError as error:
        yield f"{path}: {error.strerror}"
