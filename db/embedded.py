"""The embedded Postgres: the server of a development installation, from a Python wheel, in ACLUE_HOME/postgres.

One process owns it at a time, by a lock on ACLUE_HOME/postgres.lock: it starts the server, and stops it on exit. Others
attach by DSN. A server left behind by a killed owner is adopted by the next one. It listens on a Unix socket in a
folder that other users cannot enter, and requires passwords (SCRAM) from its first start on.

We run the programs ourselves, without the wheel's own server class, which trusts everybody until it is set up, opens
all parent folders if we are root, and uses one system user for all its users.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import asyncpg

from db import data_folder, migrations, postmasters, programs
from db.postmasters import Postmaster
from db.programs import ProgramError
from db.secrets import Secrets
from settings import SettingsError

DATABASE = "aclue"
OWNER = "aclue_owner"
API = "aclue_api"
WORKER = "aclue_worker"
LARGE_OBJECTS = "functions/large_objects.sql"


@dataclass(frozen=True, slots=True)
class Dsns:
    """DSNs of the API, of the schema's owner (None: unknown), of the superuser (embedded only), and of the process that
    runs jobs (None: the API's)."""

    api: str
    owner: str | None
    superuser: str | None = None
    worker: str | None = None


class EmbeddedServer:
    """`with EmbeddedServer(home, secrets) as dsns:` — the server runs during the block. A temporary one's data
    is removed afterwards."""

    def __init__(self, home: Path, secrets: Secrets, *, is_temporary: bool = False) -> None:
        self._home = home.resolve()
        self._secrets = secrets
        self._is_temporary = is_temporary
        self._lock: int | None = None
        self._postmaster: Postmaster | None = None

    @property
    def data(self) -> Path:
        """The data folder: in ACLUE_HOME, unless Postgres runs as another user who cannot enter it."""
        return data_folder.data_of(self._home)

    def __enter__(self) -> Dsns:
        try:
            self._lock = data_folder.lock(self._home)
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

    def _start(self) -> Dsns:
        try:
            runs = programs.embedded()
            self._postmaster = postmasters.find(self.data)  # left by a killed owner
            if self._postmaster and not self._may_go_on(self._postmaster, runs.uid):
                self._postmaster.stop()
                self._postmaster = None
            if self._postmaster is None:
                password = self._secrets.superuser_password
                data = data_folder.prepare(self._home, runs, password, is_temporary=self._is_temporary)
                self._postmaster = postmasters.start(data, runs)
            dsns = dsns_of(self._postmaster.socket_folder, self._secrets)
            asyncio.run(self._ensure_log_ins(dsns))
        except (ProgramError, asyncpg.PostgresError) as error:
            raise SettingsError(f"the embedded Postgres did not start: {error}") from None
        return dsns

    def _may_go_on(self, running: Postmaster, uid: int) -> bool:
        """Whether a server that was left behind matches the one that we would start."""
        is_ours = running.uid == uid and running.is_private
        return is_ours and running.is_ready and data_folder.asks_for_passwords(running.data)

    async def _ensure_log_ins(self, dsns: Dsns) -> None:
        """Creates the roles and the database, unless they exist; a first start may have been interrupted."""
        assert dsns.superuser
        # Failing statements are logged, and these contain a password.
        quiet = {"log_min_error_statement": "panic", "log_statement": "none"}
        try:
            connection = await asyncpg.connect(dsns.superuser, database="postgres", server_settings=quiet)
        except asyncpg.InvalidPasswordError:
            raise SettingsError(
                f"ACLUE_HOME: {self._home / 'secrets.json'} has not the passwords of {self.data}; restore that file, "
                "or remove both to start over"
            ) from None
        try:
            # On an adopted server, a statement of the killed owner may still be running.
            await connection.execute("select pg_advisory_lock(hashtext('aclue: log-ins'))")
            for role, options, password in (
                (OWNER, "login createrole", self._secrets.owner_password),
                (API, "login noinherit", self._secrets.api_password),
                (WORKER, "login noinherit", self._secrets.worker_password),
            ):
                known = await connection.fetchval(
                    "select rolpassword is not null from pg_authid where rolname = $1", role
                )
                if not known:
                    verb = "create" if known is None else "alter"
                    quoted = password.replace("'", "''")
                    await connection.execute(f"{verb} role {role} {options} password '{quoted}'")
            if not await connection.fetchval("select true from pg_database where datname = $1", DATABASE):
                await connection.execute(f"create database {DATABASE} owner {OWNER}")
        finally:
            await connection.close()
        connection = await asyncpg.connect(dsns.superuser)
        try:
            for file in migrations.repeatable_files():
                if file.name == LARGE_OBJECTS:  # needs a superuser
                    await connection.execute(file.text)
        finally:
            await connection.close()

    def stop(self) -> None:
        """Stops the server in fast mode, and releases the lock."""
        if self._postmaster is not None:
            self._postmaster.stop()
            self._postmaster = None
            if self._is_temporary:
                data_folder.discard(self._home)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def running_dsns(home: Path, secrets: Secrets) -> Dsns | None:
    """The DSNs of the running server of this folder; None if it is not running, or might be another user's."""
    running = postmasters.find(data_folder.data_of(home))
    if running is None or not running.is_ready or not running.is_private:
        return None
    return dsns_of(running.socket_folder, secrets)


def dsns_of(socket_folder: Path, secrets: Secrets) -> Dsns:
    def dsn(role: str, password: str) -> str:
        return f"postgresql://{role}:{password}@/{DATABASE}?host={quote(str(socket_folder), safe='/')}"

    return Dsns(
        api=dsn(API, secrets.api_password),
        owner=dsn(OWNER, secrets.owner_password),
        superuser=dsn("postgres", secrets.superuser_password),
        worker=dsn(WORKER, secrets.worker_password),
    )
