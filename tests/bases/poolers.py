"""A PgBouncer in transaction mode in front of a Postgres, on a Unix socket of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from urllib.parse import parse_qs, quote, urlsplit

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
PORT = 6432
START_SECONDS = 60

_CONFIGURATION = """
[databases]
* = host={host} port={port} user={user} password={password}
[pgbouncer]
listen_addr =
listen_port = {listen}
unix_socket_dir = {folder}
auth_type = any
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 1000
query_wait_timeout = 5
server_login_retry = 1
logfile = {folder}/log
pidfile = {folder}/pid
"""


class Pooler:
    """`with Pooler(dsn, folder) as pooler:` — `pooler.dsn` is the same log-in through it. Clients share `pool_size`
    connections to each database."""

    def __init__(self, dsn: str, folder: Path, *, pool_size: int = 20) -> None:
        self._folder = folder
        self._parts = urlsplit(dsn)
        (self._host,) = parse_qs(self._parts.query)["host"]
        self._pool_size = pool_size
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        query = f"host={quote(str(self._folder), safe='/')}&port={PORT}"
        return self._parts._replace(query=query).geturl()

    def __enter__(self) -> Pooler:
        assert PROGRAM
        configuration = self._folder / "pgbouncer.ini"
        configuration.write_text(
            _CONFIGURATION.format(
                host=self._host,
                port=self._parts.port or 5432,
                user=self._parts.username,
                password=self._parts.password,
                listen=PORT,
                folder=self._folder,
                pool_size=self._pool_size,
            )
        )
        user = None
        if os.geteuid() == 0:  # it refuses to run as root; the server's own user may open the server's socket
            user = Path(self._host).owner()
            for path in (self._folder, configuration):
                shutil.chown(path, user)
            for parent in self._folder.parents:
                if parent.owner() == "root" and parent.name:
                    parent.chmod(parent.stat().st_mode | 0o011)
        self._process = subprocess.Popen(
            [PROGRAM, str(configuration)], user=user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + START_SECONDS
        while not (self._folder / f".s.PGSQL.{PORT}").exists():
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline, "PgBouncer does not start"
            time.sleep(0.01)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process
        self._process.terminate()
        self._process.wait(START_SECONDS)
