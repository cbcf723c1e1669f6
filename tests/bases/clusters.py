"""A Postgres server of whichever programs, in a folder of its own, on a Unix socket only."""

from __future__ import annotations

import asyncio
import os
import pwd
import secrets
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import asyncpg

from db import embedded
from db.embedded import Dsns, utils

_CONFIGURATION = """
listen_addresses = ''
unix_socket_directories = '{folder}'
shared_buffers = 128MB
max_connections = 200
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
"""


class Cluster:
    """`with Cluster(programs, folder, superuser="postgres") as cluster:` — it runs inside the block."""

    def __init__(self, programs: Path, folder: Path, *, superuser: str) -> None:
        self.password = secrets.token_hex(16)
        self._programs = programs
        self._folder = folder / "cluster"
        self._superuser = superuser
        self._user: str | None = None  # Postgres refuses to run as root

    def __enter__(self) -> Cluster:
        self._folder.mkdir()
        password_file = self._folder / "password"
        password_file.write_text(self.password)
        if os.geteuid() == 0:
            self._user = "pgserver"  # as the embedded server runs
            entry = utils.ensure_user_exists(self._user)
            assert isinstance(entry, pwd.struct_passwd)
            for path in (self._folder, password_file):
                shutil.chown(path, entry.pw_uid, entry.pw_gid)
        data = self._folder / "data"
        self._call(
            "initdb",
            *("--auth=scram-sha-256", f"--pwfile={password_file}", "--encoding=utf8", "--no-sync"),
            *("-U", self._superuser, "-D", str(data)),
        )
        with (data / "postgresql.conf").open("a") as configuration:
            configuration.write(_CONFIGURATION.format(folder=self._folder))
        self._call("pg_ctl", "--wait", f"--pgdata={data}", f"--log={data / 'log'}", "start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call("pg_ctl", "--wait", f"--pgdata={self._folder / 'data'}", "--mode=immediate", "stop")

    def _call(self, program: str, *arguments: str) -> None:
        """Waits for the program; the server it may leave behind keeps none of our streams open."""
        with (self._folder / "errors").open("w") as errors:
            done = subprocess.run(
                [self._programs / program, *arguments],
                user=self._user,
                cwd=self._folder,
                env={**os.environ, "LC_ALL": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                check=False,
            )
        if done.returncode:
            raise RuntimeError(f"{program}: {(self._folder / 'errors').read_text()}")

    def dsn(self, role: str, database: str = "postgres") -> str:
        return f"postgresql://{role}:{self.password}@/{database}?host={quote(str(self._folder), safe='/')}"

    def dsns(self, owner: str) -> Dsns:
        """Every log-in has the same password here."""
        return Dsns(
            *(self.dsn(role, embedded.DATABASE) for role in (embedded.API, owner, self._superuser)),
        )

    def run(self, sql: str) -> None:
        """As the superuser, in the database postgres."""

        async def run() -> None:
            connection = await asyncpg.connect(self.dsn(self._superuser))
            await connection.execute(sql)
            await connection.close()

        asyncio.run(run())
