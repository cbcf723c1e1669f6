"""The data folder of the embedded Postgres, ACLUE_HOME/postgres: creates, repairs and protects it.

A new one is created next to its place and moved there when it is complete, so an interrupted start leaves nothing
incomplete. Nobody can log in before the superuser has a password: `initdb` rejects all connections, a Postgres without
a network reads the password from a pipe, then pg_hba.conf is replaced, and only then the server may start.

If the account that runs Postgres cannot enter ACLUE_HOME, `postgres` is a link to a folder in /var/lib/aclue.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import re
import shutil
import stat
import tempfile
import time
from pathlib import Path

from db import programs
from db.programs import Programs
from settings import SettingsError

NAME = "postgres"
_OLD_ACCOUNT = "pgserver"  # ran the servers of earlier versions when started by root
_LEFTOVERS = {"log", ".handle_pids.json"}  # of earlier versions, in a folder that never held data
_HBA = """# Written by aclue: passwords for everybody, no network.
local all all scram-sha-256
local replication postgres scram-sha-256
"""
_CONFIGURATION = """
# Written by aclue for a development machine.
shared_buffers = 128MB
max_connections = 200
random_page_cost = 1.1
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
"""
# Changing archive_mode needs a restart, and `aclue backup` should not: until the first one, archiving does nothing.
_ARCHIVING = "archive_mode = on\narchive_command = 'true'\n"
_LOCK_TIMEOUT_SECONDS = 30


def data_of(home: Path) -> Path:
    """The data folder of this ACLUE_HOME, which need not exist yet."""
    return (home / NAME).resolve()


def lock(home: Path) -> int:
    """Locks this ACLUE_HOME, which is created if it does not exist, until the descriptor is closed. Raises
    SettingsError if another process keeps it, OSError if the folder cannot be used."""
    home.mkdir(parents=True, exist_ok=True)
    # Not readable by others, who could hold the lock for ever.
    descriptor = os.open(home / "postgres.lock", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        deadline = time.monotonic() + _LOCK_TIMEOUT_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return descriptor
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SettingsError(
                        f"ACLUE_HOME: another aclue process is using {home}; stop it or choose another folder"
                    ) from None
                time.sleep(0.1)
    except BaseException:
        os.close(descriptor)
        raise


def asks_for_passwords(data: Path) -> bool:
    """Whether pg_hba.conf requires the passwords that we set."""
    hba = data / "pg_hba.conf"
    return hba.exists() and hba.read_text() == _HBA


def prepare(home: Path, runs: Programs, password: str, *, is_temporary: bool) -> Path:
    """Prepares the data folder for a start. The caller holds the lock of ACLUE_HOME, and no server runs on it.

    Raises SettingsError if an existing folder is unusable, ProgramError if a program fails.
    """
    place = home / NAME
    _tidy(home)
    if not _is_initialised(place):
        _initialise(place, runs, is_temporary=is_temporary)
    elif not runs.can_enter(data_of(home)):
        _move_to_where_it_can_be_entered(place, runs)
    data = data_of(home)
    _require_version(data)
    _take_over(data, runs)
    data.chmod(0o700)
    if not is_temporary:
        _prepare_archiving(data, runs)
    if not asks_for_passwords(data):
        quoted = password.replace("'", "''")
        options = ("--single", "-j", "-c", "exit_on_error=on", "-c", "log_min_error_statement=panic")
        runs.run("postgres", *options, "-D", str(data), "postgres", text=f"alter role postgres password '{quoted}'\n")
        runs.write(data / "pg_hba.conf", _HBA)
    return data


def discard(home: Path) -> None:
    """Removes the data folder, also behind a link."""
    remove(home / NAME)


def remove(place: Path) -> None:
    """Removes a data folder, also behind a link that we made."""
    if not place.is_symlink():
        shutil.rmtree(place)
        return
    if (target := place.resolve()).parent == programs.SHARED:
        shutil.rmtree(target)
    place.unlink()


def _drafts(home: Path) -> list[Path]:
    return [*home.glob(f"{NAME}.new-*")]


def _tidy(home: Path) -> None:
    """Removes what interrupted starts left behind."""
    place, former = home / NAME, home / f"{NAME}.former"
    if os.path.lexists(former):
        if os.path.lexists(place):
            shutil.rmtree(former)
        else:
            former.rename(place)
    for draft in _drafts(home):
        shutil.rmtree(draft.resolve(), ignore_errors=True)
        if draft.is_symlink():
            draft.unlink()


def _is_initialised(place: Path) -> bool:
    """Whether there is a data folder. Raises SettingsError for anything else in its place."""
    data = place.resolve()
    if (data / "PG_VERSION").exists():
        return asks_for_passwords(data) or (data / "global" / "pg_control").exists()  # else interrupted `initdb`
    if place.exists() and {path.name for path in data.iterdir()} - _LEFTOVERS:
        raise SettingsError(f"ACLUE_HOME: {data} is neither empty nor the data folder of a Postgres")
    return False


def new_folder(place: Path, runs: Programs) -> Path:
    """An empty folder owned by the account: next to its place, or a link there to one that the account can enter."""
    if runs.can_enter(place):
        draft = Path(tempfile.mkdtemp(prefix=f"{NAME}.new-", dir=place.parent))
    else:
        with programs.shared_folder() as shared:
            folder = Path(tempfile.mkdtemp(prefix="data-", dir=shared))
        draft = place.with_name(f"{NAME}.new-{folder.name}")
        draft.symlink_to(folder)
    runs.give(draft.resolve())
    return draft


def _initialise(place: Path, runs: Programs, *, is_temporary: bool) -> None:
    draft = new_folder(place, runs)
    data = draft.resolve()
    sync = ("--no-sync",) if is_temporary else ()
    runs.run("initdb", "--auth=reject", "--encoding=utf8", *sync, "-U", "postgres", "-D", str(data))
    configuration = data / "postgresql.conf"
    runs.write(configuration, configuration.read_text() + _CONFIGURATION + ("fsync = off\n" if is_temporary else ""))
    if place.is_symlink():
        place.unlink()
    elif place.exists():
        shutil.rmtree(place)  # empty, or from an interrupted `initdb`
    draft.rename(place)


def _prepare_archiving(data: Path, runs: Programs) -> None:
    configuration = data / "postgresql.conf"
    text = runs.read(configuration)
    if not re.search(r"^archive_mode\b", text, re.MULTILINE):
        runs.write(configuration, text + _ARCHIVING)


def _move_to_where_it_can_be_entered(place: Path, runs: Programs) -> None:
    """Copies data whose parent folders an earlier version had opened, and which are closed again."""
    former = place.with_name(f"{NAME}.former")
    draft = new_folder(place, runs)
    shutil.copytree(place.resolve(), draft.resolve(), symlinks=True, dirs_exist_ok=True)
    for path in (draft.resolve(), *draft.resolve().rglob("*")):
        runs.give(path)
    place.rename(former)
    draft.rename(place)
    _tidy(place.parent)


def _require_version(data: Path) -> None:
    found = (data / "PG_VERSION").read_text().strip()
    if found != programs.VERSION:
        raise SettingsError(
            f"ACLUE_HOME: {data} was made by Postgres {found}, and this is {programs.VERSION}; dump it with the "
            "earlier version, or choose another folder"
        )


def _take_over(data: Path, runs: Programs) -> None:
    """Changes the owner of files of root, or of an earlier version's account, to our account."""
    owner = data.lstat().st_uid
    if runs.account is None or owner == runs.uid:
        return
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = str(owner)
    if owner != 0 and name != _OLD_ACCOUNT:
        raise SettingsError(f"ACLUE_HOME: {data} belongs to the user {name}; run aclue as that user")
    for path in (*data.rglob("*"), data):  # the folder itself last, so that an interrupted start is repeated
        if path.lstat().st_uid == owner:  # not files that others linked here
            runs.give(path)


def is_private(folder: Path, uid: int) -> bool:
    """Whether this is a folder, not a link, that belongs to the user and nobody else may enter."""
    try:
        known = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(known.st_mode) and known.st_uid == uid and not known.st_mode & 0o077
