"""A Postgres server of whichever programs, in a folder of its own, on a Unix socket only."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import asyncpg

from db import embedded
from db.embedded import Dsns
from db.programs import Programs

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

    def __init__(self, programs: Programs, folder: Path, *, superuser: str, configuration: str = "") -> None:
        self.password = secrets.token_hex(16)
        self._programs = programs
        self._folder = folder / "cluster"
        self._superuser = superuser
        self._configuration = _CONFIGURATION + configuration

    def __enter__(self) -> Cluster:
        self._folder.mkdir(0o700)
        password_file, data = self._folder / "password", self._folder / "data"
        self._programs.give(self._folder)
        self._programs.write(password_file, self.password)
        self._programs.run(
            "initdb",
            *("--auth=scram-sha-256", f"--pwfile={password_file}", "--encoding=utf8", "--no-sync"),
            *("--locale=C.UTF-8", "-U", self._superuser, "-D", str(data)),
        )
        with (data / "postgresql.conf").open("a") as configuration:
            configuration.write(self._configuration.format(folder=self._folder))
        self._programs.run("pg_ctl", "--wait", f"--pgdata={data}", f"--log={data / 'log'}", "start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._programs.run("pg_ctl", "--wait", f"--pgdata={self._folder / 'data'}", "--mode=immediate", "stop")

    def dsn(self, role: str, database: str = "postgres") -> str:
        return f"postgresql://{role}:{self.password}@/{database}?host={quote(str(self._folder), safe='/')}"

    def dsns(self, owner: str) -> Dsns:
        """Every log-in has the same password here."""
        return Dsns(
            *(self.dsn(role, embedded.DATABASE) for role in (embedded.API, owner, self._superuser, embedded.WORKER)),
        )

    def run(self, sql: str) -> None:
        """As the superuser, in the database postgres."""

        async def run() -> None:
            connection = await asyncpg.connect(self.dsn(self._superuser))
            await connection.execute(sql)
            await connection.close()

        asyncio.run(run())
