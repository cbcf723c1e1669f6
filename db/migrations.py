"""Brings a database to the state of sql/: forward files once and in order, repeatable files whenever they change.

Why not a ready-made tool: docs/decisions/0002-migrations.md.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg

SQL_FOLDER = Path(__file__).resolve().parent.parent / "sql"
REPEATABLE_FOLDERS = ("functions", "views", "policies")
OLDEST_POSTGRES = 15
NO_TRANSACTION = "-- aclue: no transaction"

_LOCK = 0x61636C7565  # "aclue": one runner at a time
_FILE_NAME = re.compile(r"^(\d{14})_\w+\.sql$")


class MigrationError(RuntimeError):
    """The database cannot be migrated; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class SqlFile:
    """`name` is the path below sql/."""

    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do, in its order."""

    migrations: list[SqlFile] = field(default_factory=list)
    repeatables: list[SqlFile] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        return [file.name for file in (*self.migrations, *self.repeatables)]


def migration_files(folder: Path = SQL_FOLDER) -> list[SqlFile]:
    files = sorted((folder / "migrations").glob("*.sql"))
    for path in files:
        if not _FILE_NAME.match(path.name):
            raise MigrationError(f"{path.name}: a migration is called <14-digit timestamp>_<what>.sql")
    return [SqlFile(f"migrations/{path.name}", path.read_text()) for path in files]


def repeatable_files(folder: Path = SQL_FOLDER) -> list[SqlFile]:
    return [
        SqlFile(f"{kind}/{path.name}", path.read_text())
        for kind in REPEATABLE_FOLDERS
        for path in sorted((folder / kind).glob("*.sql"))
    ]


async def check_version(connection: asyncpg.Connection[Any]) -> None:
    """Raises MigrationError when the server is older than PostgreSQL 15."""
    version = connection.get_server_version()
    if version.major < OLDEST_POSTGRES:
        raise MigrationError(f"PostgreSQL {version.major} is too old: aclue needs {OLDEST_POSTGRES} or newer")


async def plan(connection: asyncpg.Connection[Any], folder: Path = SQL_FOLDER) -> Plan:
    """Compares sql/ with what the database says was applied.

    Raises MigrationError when an applied file has changed or is unknown here, or a new one would come before it.
    """
    applied = await _applied(connection)
    files = migration_files(folder)
    known = {file.name for file in files}
    done = {name for name in applied if name.startswith("migrations/")}
    if unknown := sorted(done - known):
        raise MigrationError(f"the database is newer than this code: it has {unknown[-1]}")
    for file in files:
        if file.name in done and applied[file.name] != file.checksum:
            raise MigrationError(f"{file.name} was changed after it was applied; write a new migration instead")
    pending = [file for file in files if file.name not in done]
    if pending and done and pending[0].name < max(done):
        raise MigrationError(f"{pending[0].name} is older than {max(done)}, which was applied: rename it")
    repeatables = [file for file in repeatable_files(folder) if applied.get(file.name) != file.checksum]
    return Plan(pending, repeatables)


async def migrate(
    connection: asyncpg.Connection[Any],
    *,
    folder: Path = SQL_FOLDER,
    on_applied: Callable[[str], None] = lambda name: None,
) -> Plan:
    """Applies what is pending, as the owner. Returns what was applied. One transaction per forward file; all repeatable
    files share one, so that nobody sees a table between its old policies and its new ones."""
    await check_version(connection)
    await connection.execute(f"select pg_advisory_lock({_LOCK})")
    try:
        try:
            await _create_history(connection)
        except asyncpg.InsufficientPrivilegeError as error:
            user = await connection.fetchval("select session_user")
            raise MigrationError(
                f"{user} may not create schemas in this database ({error}); MIGRATION_DATABASE_URL must be its owner"
            ) from error
        todo = await plan(connection, folder)
        await connection.execute("set lock_timeout = '5s'; set check_function_bodies = off")
        for file in todo.migrations:
            await _apply_migration(connection, file)
            on_applied(file.name)
        async with connection.transaction():
            for file in todo.repeatables:
                await _run(connection, file)
                on_applied(file.name)
        return todo
    finally:
        if not connection.is_closed():
            await connection.execute(f"reset all; select pg_advisory_unlock({_LOCK})")


async def _apply_migration(connection: asyncpg.Connection[Any], file: SqlFile) -> None:
    if file.text.startswith(NO_TRANSACTION):
        await _run(connection, file)
        return
    async with connection.transaction():
        await _run(connection, file)


async def _run(connection: asyncpg.Connection[Any], file: SqlFile) -> None:
    try:
        await connection.execute(file.text)
    except asyncpg.PostgresError as error:
        raise MigrationError(f"{file.name}: {error}") from error
    await connection.execute(
        "insert into private.applied_files (name, checksum) values ($1, $2) "
        "on conflict (name) do update set checksum = excluded.checksum, applied_at = now()",
        file.name,
        file.checksum,
    )


async def _create_history(connection: asyncpg.Connection[Any]) -> None:
    await connection.execute(
        """
        create schema if not exists private;
        create table if not exists private.applied_files (
          name text constraint applied_files_pkey primary key,
          checksum text not null,
          applied_at timestamptz not null default now()
        );
        """
    )


async def _applied(connection: asyncpg.Connection[Any]) -> dict[str, str]:
    if not await connection.fetchval("select to_regclass('private.applied_files') is not null"):
        return {}
    return {row["name"]: row["checksum"] for row in await connection.fetch("select * from private.applied_files")}


async def ensure_api_login(owner: asyncpg.Connection[Any], api_dsn: str) -> None:
    """Lets the API's log-in become anon, authenticated and service_role; creates it where it is missing.

    A log-in that owns the schema is left alone: it may do so already.
    """
    parts = urlsplit(api_dsn)
    name, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not name or name == await owner.fetchval("select session_user"):
        return
    try:
        await _let_log_in(owner, name, password)
    except asyncpg.InsufficientPrivilegeError as error:
        raise MigrationError(
            f"the owner may not let {name} become anon, authenticated, service_role: {error}"
        ) from error


async def _let_log_in(owner: asyncpg.Connection[Any], name: str, password: str) -> None:
    quoted = await owner.fetchval("select quote_ident($1)", name)
    if not await owner.fetchval("select true from pg_roles where rolname = $1", name):
        if not password:
            raise MigrationError(f"the role {name} of DATABASE_URL does not exist, and the URL has no password for it")
        secret = await owner.fetchval("select quote_literal($1)", password)
        await owner.execute(f"create role {quoted} login noinherit password {secret}")
    for role in ("anon", "authenticated", "service_role"):
        if not await owner.fetchval("select pg_has_role($1, $2, 'member')", name, role):
            await owner.execute(f"grant {role} to {quoted}")
