"""The server process of a data folder: found, started, stopped, and where its socket is.

The socket is in the data folder, which is closed to everybody else. Where that path is too long for a socket, it is in
a new folder under a short path, made for this run and just as closed; postmaster.pid says which.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from db.data_folder import is_private
from db.programs import ProgramError, Programs

_MAX_SOCKET_PATH_BYTES = 103  # macOS; Linux has 107
_PREFIX = "aclue-"
_START_SECONDS = 120  # after a crash it replays its log first
_STOP_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Postmaster:
    """A running Postgres server."""

    process: psutil.Process
    uid: int  # of the user whom it runs as
    data: Path
    socket_folder: Path
    is_ready: bool
    child: subprocess.Popen[bytes] | None = None  # if this process started it, and so has to wait for it

    @property
    def is_private(self) -> bool:
        """Whether only the user whom it runs as, and root, can reach its socket."""
        return is_private(self.socket_folder, self.uid)

    def stop(self) -> None:
        """Stops it in fast mode, or kills it if that takes too long."""
        for number, patience in ((signal.SIGINT, _STOP_SECONDS), (signal.SIGQUIT, 5), (signal.SIGKILL, 5)):
            try:
                self.process.send_signal(number)
                self.process.wait(patience)
            except psutil.NoSuchProcess:
                break
            except psutil.TimeoutExpired:
                continue
            break
        if self.child:
            self.child.wait()
        _remove_socket_folder(self.data, self.socket_folder, self.uid)


def find(data: Path) -> Postmaster | None:
    """The server that runs on this data folder. That a process has the number in postmaster.pid is not enough: after a
    crash another one may have it."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        process = psutil.Process(int(lines[0]))
        if Path(process.cwd()) != data:
            return None
        uid = process.uids().effective
        return Postmaster(process, uid, data, Path(lines[4]), lines[-1].strip() == "ready")
    except (OSError, ValueError, IndexError, psutil.Error):
        return None


def start(data: Path, runs: Programs, *, seconds: float = _START_SECONDS) -> Postmaster:
    """Starts a server. Raises ProgramError if it does not become ready within this time."""
    _forget_crashed(data)
    log = data / "log"
    folder = _socket_folder(data, runs)
    quoted = str(folder).replace('"', '""')
    options = {
        "listen_addresses": "",
        "unix_socket_directories": f'"{quoted}"',
        "unix_socket_permissions": "0700",
    }
    settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    process = runs.start("postgres", "-D", str(data), *settings, log=log)
    try:
        deadline = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < deadline:
            found = find(data)
            if found and found.process.pid == process.pid and found.is_ready:
                return replace(found, child=process)
            time.sleep(0.02)
        raise ProgramError(f"see {log}")
    except BaseException:
        process.send_signal(signal.SIGINT)
        process.wait()
        _remove_socket_folder(data, folder, runs.uid)
        raise


def _forget_crashed(data: Path) -> None:
    """Removes files of a server that crashed."""
    file = data / "postmaster.pid"
    try:
        number, _, _, _, folder = file.read_text().splitlines()[:5]
    except (FileNotFoundError, ValueError):
        return
    _remove_socket_folder(data, Path(folder), data.stat().st_uid)
    with contextlib.suppress(ValueError, psutil.Error):
        process = psutil.Process(int(number))
        if process.name() != "postgres" or process.status() == psutil.STATUS_ZOMBIE:
            # Postgres would take any process of its user with that number for its own server.
            file.unlink()
            (Path(folder) / ".s.PGSQL.5432.lock").unlink(missing_ok=True)


def _remove_socket_folder(data: Path, folder: Path, uid: int) -> None:
    if folder != data and folder.name.startswith(_PREFIX) and is_private(folder, uid):
        shutil.rmtree(folder)


def _fits(folder: Path) -> bool:
    """Whether a socket there has an address, and one for the URL of a database, where commas divide hosts."""
    return len(os.fsencode(folder / ".s.PGSQL.5432")) <= _MAX_SOCKET_PATH_BYTES and "," not in str(folder)


def _socket_folder(data: Path, runs: Programs) -> Path:
    if _fits(data):
        return data
    for base in (Path(name).resolve() for name in (tempfile.gettempdir(), "/tmp", "/var/tmp")):  # noqa: S108
        name = base / f"{_PREFIX}{'x' * 8}"
        if base.is_dir() and _fits(name) and runs.can_enter(name) and nobody_else_renames_in(base):
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
            runs.give(folder)
            return folder
    raise ProgramError(f"{data} is too long for the path of a socket, and no folder for temporary files can be used")


def nobody_else_renames_in(folder: Path) -> bool:
    """Whether what is made there stays: of root's or ours, and if others write there, sticky."""
    for path in (folder, *folder.parents):
        known = path.stat()
        if known.st_uid not in (0, os.geteuid()) or (known.st_mode & 0o022 and not known.st_mode & stat.S_ISVTX):
            return False
    return True
