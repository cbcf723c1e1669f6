"""A Postgres server of whichever programs, in a folder of its own, on a Unix socket only."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import asyncpg
import psutil

from db import embedded
from db.embedded import Dsns
from db.programs import Programs

_CONFIGURATION = """
listen_addresses = ''
shared_buffers = 128MB
max_connections = 200
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
"""


class Cluster:
    """`with Cluster(programs, folder, superuser="postgres") as cluster:` — it runs inside the block, unless it is
    stopped there."""

    def __init__(
        self, programs: Programs, folder: Path, *, superuser: str, password: str = "", configuration: str = ""
    ) -> None:
        self.password = password or secrets.token_hex(16)
        self.folder = folder / "cluster"
        self._programs = programs
        self._superuser = superuser
        self._configuration = _CONFIGURATION + configuration

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def __enter__(self) -> Cluster:
        if not self.data.exists():
            self._make()
        self.start()
        return self

    def _make(self) -> None:
        self.folder.mkdir(0o700)
        password_file = self.folder / "password"
        self._programs.give(self.folder)
        self._programs.write(password_file, self.password)
        self._programs.run(
            "initdb",
            *("--auth=scram-sha-256", f"--pwfile={password_file}", "--encoding=utf8", "--no-sync"),
            *("--locale=C.UTF-8", "-U", self._superuser, "-D", str(self.data)),
        )
        with (self.data / "postgresql.conf").open("a") as configuration:
            configuration.write(self._configuration)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if (self.data / "postmaster.pid").exists():
            self.stop("immediate")

    def start(self, *settings: str) -> None:
        """Starts the server, with settings of this start such as `max_connections=20`. Raises ProgramError."""
        options = " ".join(f"-c {each}" for each in (f"unix_socket_directories={self.folder}", *settings))
        self._programs.run(
            "pg_ctl", "--wait", f"--pgdata={self.data}", f"--log={self.data / 'log'}", f"--options={options}", "start"
        )

    def stop(self, mode: str = "fast") -> None:
        self._programs.run("pg_ctl", "--wait", f"--pgdata={self.data}", f"--mode={mode}", "stop")

    def kill(self) -> None:
        """Kills all processes of the server at once, as a power failure would."""
        postmaster = psutil.Process(int((self.data / "postmaster.pid").read_text().split()[0]))
        processes = [postmaster, *postmaster.children(recursive=True)]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, 10)
        (self.data / "postmaster.pid").unlink(missing_ok=True)  # another process may have its number

    def promote(self) -> None:
        """Makes a standby the primary."""
        self._programs.run("pg_ctl", "--wait", f"--pgdata={self.data}", "promote")

    def copied(self, folder: Path) -> Cluster:
        """A copy of a server that is stopped."""
        copy = self._elsewhere(folder)
        subprocess.run(["cp", "-a", self.folder, copy.folder], check=True)
        return copy

    def standby(self, folder: Path, *, slot: str = "standby") -> Cluster:
        """A streaming standby of the running server, not started yet."""
        standby = self._elsewhere(folder)
        standby.folder.mkdir(0o700)
        self._programs.give(standby.folder)
        self._programs.run(
            "pg_basebackup",
            *("-d", self.dsn(self._superuser), "-D", str(standby.data), "--write-recovery-conf", "--no-sync"),
            *("--checkpoint=fast", "--create-slot", f"--slot={slot}"),
        )
        return standby

    def _elsewhere(self, folder: Path) -> Cluster:
        return Cluster(self._programs, folder, superuser=self._superuser, password=self.password)

    def move_wal(self, folder: Path) -> None:
        """Moves the write-ahead log of a server that is stopped to another folder."""
        self._programs.give(folder)
        subprocess.run(["cp", "-a", f"{self.data}/pg_wal/.", folder], check=True)
        shutil.rmtree(self.data / "pg_wal")
        (self.data / "pg_wal").symlink_to(folder)

    def dsn(self, role: str, database: str = "postgres") -> str:
        return f"postgresql://{role}:{self.password}@/{database}?host={quote(str(self.folder), safe='/')}"

    def dsns(self, owner: str, database: str = embedded.DATABASE) -> Dsns:
        """Every log-in has the same password here."""
        return Dsns(*(self.dsn(role, database) for role in (embedded.API, owner, self._superuser, embedded.WORKER)))

    def run(self, sql: str) -> None:
        """As the superuser, in the database postgres."""

        async def run() -> None:
            connection = await asyncpg.connect(self.dsn(self._superuser))
            await connection.execute(sql)
            await connection.close()

        asyncio.run(run())
