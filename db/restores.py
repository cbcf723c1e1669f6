"""Restores a backup of the embedded Postgres, to the end of its archived WAL or to a point in time: docs/backup.md.

It is restored beside the place of the data folder, recovered there, and moved into place when the caller is content.
What was in its place is moved aside, never removed.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

from db import data_folder, postmasters
from db.backup_folders import Backup, BackupError, BackupFolder
from db.data_folder import NAME
from db.embedded import Dsns, dsns_of
from db.postmasters import Postmaster
from db.programs import ProgramError, Programs
from db.queries import QUERIES
from db.secrets import Secrets
from db.wal_archives import restore_command

_RECOVERY_SECONDS = 6 * 3600
_CONFIGURATION = "postgresql.auto.conf"
# Of the server that was backed up: a restored copy must not write to its archive.
_DROPPED = re.compile(r"^(archive_command|archive_timeout|restore_command|recovery_target\w*)\b.*\n", re.MULTILINE)
_OF_THE_RUN = ("log", ".s.PGSQL.5432.lock")  # of the server that was backed up
_ENDED = re.compile(r"last completed transaction was at log time ([\d-]+ [\d:.]+\+00)")


@dataclass(frozen=True)
class Choice:
    """What to restore, and what was found on the way."""

    chain: list[Backup]
    to: datetime | str | None
    """A time, or the name of a backup, for what it has by itself; None for all that is archived."""
    damage: list[str]
    """Files of newer backups, because of which an older one was chosen, and of the WAL."""


def choose(folder: BackupFolder, to: datetime | str | None, now: datetime) -> Choice:
    """The newest undamaged backup that the wanted state can be reached from. Raises BackupError, which says what is
    possible."""
    backups = folder.backups()
    if not backups:
        raise BackupError(f"{folder.path}: has no complete backup")
    if isinstance(to, str):
        return _choose_by_name(folder, backups, to)
    if to is not None and to > now:
        raise BackupError(f"--to: {_shown(to)} is in the future; it is {_shown(now)}")
    candidates = [backup for backup in backups if to is None or backup.finished_at <= to]
    if not candidates:
        raise BackupError(
            f"--to: {_shown(to)} is before the first backup was complete; the earliest time is "
            f"{_shown(backups[0].finished_at)}"
        )
    damage: list[str] = []
    for backup in reversed([each for each in candidates if each.timeline == candidates[-1].timeline]):
        found = _damage(folder, backup)
        if not found:
            wal = list(folder.damage_of_wal(backup))
            if wal and to is None:
                raise BackupError(
                    f"the archived WAL is incomplete: {'; '.join(wal)}; give a time before that as --to, or "
                    f"--to {backup.name} for what this backup has by itself"
                )
            return Choice(folder.chain(backup), to, damage + wal)
        damage += found
    raise BackupError(f"no undamaged backup leads there: {'; '.join(damage)}")


def _choose_by_name(folder: BackupFolder, backups: list[Backup], name: str) -> Choice:
    backup = next((each for each in backups if each.name == name), None)
    if backup is None:
        raise BackupError(f"--to: there is no backup {name}; there are {', '.join(each.name for each in backups)}")
    if found := _damage(folder, backup):
        raise BackupError("; ".join(found))
    return Choice(folder.chain(backup), name, [])


def _damage(folder: BackupFolder, backup: Backup) -> list[str]:
    try:
        return [fault for each in folder.chain(backup) for fault in folder.damage(each)]
    except BackupError as error:
        return [str(error)]


def _shown(time: datetime | None) -> str:
    return time.astimezone(UTC).isoformat() if time else "now"


@dataclass(frozen=True)
class Contents:
    """What a database has: how many tables and rows, and tables of clients without row level security."""

    tables: int
    rows: int
    unprotected: list[str]


async def newest_transaction(superuser: asyncpg.Connection[Any]) -> datetime | None:
    """The time of the last transaction that came from the WAL, if one did."""
    found: datetime | None = await superuser.fetchval(QUERIES["backups.newest_replayed"].sql)
    return found


async def contents(owner: asyncpg.Connection[Any]) -> Contents:
    tables = await owner.fetch(QUERIES["backups.tables"].sql)
    rows = 0
    for table in tables:
        rows += await owner.fetchval(f"select count(*) from only {table['name']}")  # quoted by Postgres
    return Contents(len(tables), rows, [table["name"] for table in tables if table["is_unprotected"]])


class Restored:
    """A restored server that runs beside its place."""

    def __init__(self, home: Path, draft: Path, running: Postmaster, secrets: Secrets) -> None:
        self.dsns: Dsns = dsns_of(running.socket_folder, secrets)
        self.is_placed = False
        self._home = home
        self._draft = draft
        self._running = running

    def place(self, now: datetime) -> Path | None:
        """Stops the server and moves its data into place. Returns where the former data are."""
        self.stop()
        place, aside = self._home / NAME, None
        if os.path.lexists(place):
            aside = self._home / f"{NAME}.before-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
            place.rename(aside)
        self._draft.rename(place)
        self.is_placed = True
        return aside

    def stop(self) -> None:
        self._running.stop()


@contextlib.contextmanager
def restored(home: Path, folder: BackupFolder, choice: Choice, secrets: Secrets) -> Iterator[Restored]:
    """A server with the restored data, recovered and ready, which goes away after the block unless it was placed. The
    caller holds the locks of `home`, on whose data no server runs, and of the folder. Raises BackupError."""
    runs = folder.runs
    draft = data_folder.new_folder(home / NAME, runs)
    try:
        running = _recover(draft.resolve(), folder, choice, runs)
        found = Restored(home, draft, running, secrets)
        try:
            yield found
        finally:
            if not found.is_placed:
                found.stop()
    except ProgramError as error:
        raise BackupError(_explained(draft.resolve(), choice, error)) from None
    finally:
        if os.path.lexists(draft):
            data_folder.remove(draft)


def _recover(data: Path, folder: BackupFolder, choice: Choice, runs: Programs) -> Postmaster:
    parts = [str(folder.folder_of(backup)) for backup in choice.chain]
    runs.run("pg_combinebackup", *parts, "--output", str(data))
    data.chmod(0o700)
    for name in _OF_THE_RUN:
        (data / name).unlink(missing_ok=True)
    settings = {
        "restore_command": restore_command(folder.wal),
        "recovery_target_timeline": "current",
        "hot_standby": "off",  # otherwise it is ready before the recovery has ended
    }
    if isinstance(choice.to, str):
        settings |= {"recovery_target": "immediate", "recovery_target_action": "promote"}
    elif choice.to is not None:
        settings |= {"recovery_target_time": choice.to.astimezone(UTC).isoformat(), "recovery_target_action": "promote"}
    lines = [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'\n" for name, value in settings.items()]
    configuration = _DROPPED.sub("", runs.read(data / _CONFIGURATION))
    runs.write(data / _CONFIGURATION, configuration + "".join(lines))
    runs.write(data / "recovery.signal", "")
    running = postmasters.start(data, runs, seconds=_RECOVERY_SECONDS)
    try:
        runs.write(data / _CONFIGURATION, configuration)  # these have done their work
    except BaseException:
        running.stop()
        raise
    return running


def _explained(data: Path, choice: Choice, error: ProgramError) -> str:
    log = data / "log"
    text = log.read_text(errors="replace") if log.exists() else ""
    if isinstance(choice.to, datetime) and "recovery ended before configured recovery target was reached" in text:
        times = _ENDED.findall(text)
        last = _shown(datetime.fromisoformat(times[-1]) if times else choice.chain[-1].finished_at)
        more = f" ({'; '.join(choice.damage)})" if choice.damage else ""
        return (
            f"--to: {_shown(choice.to)} is after the end of the archived WAL{more}; the last transaction in it is of "
            f"{last}; omit --to to restore all of it"
        )
    fatal = [line.partition("FATAL:")[2].strip() for line in text.splitlines() if "FATAL:" in line]
    return f"recovery failed: {fatal[-1] if fatal else error}"


async def end_what_may_be_revoked(owner: asyncpg.Connection[Any]) -> int:
    """In a database as it was earlier: ends the sessions of accounts and voids the tokens that were mailed, as they may
    have been revoked or used since, by somebody from whom they were stolen. Returns the number of sessions."""
    async with owner.transaction():
        await owner.fetch(QUERIES["backups.forget_mailed_tokens"].sql)
        return len(await owner.fetch(QUERIES["backups.end_sessions"].sql))
