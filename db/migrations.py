"""Migrates a database to the state of sql/: forward files once and in order, repeatable files whenever they change.

Why not a ready-made tool: docs/decisions/0002-migrations.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg

SQL_FOLDER = Path(__file__).resolve().parent.parent / "sql"
REPEATABLE_FOLDERS = ("functions", "views", "policies")
OLDEST_POSTGRES = 15
NO_TRANSACTION = "-- aclue: no transaction"
API_ROLES = ("anon", "authenticated", "service_role")
WORKER_ROLES = ("job_worker", "service_role")

_LOCK = 0x61636C7565  # "aclue": one runner at a time
_FILE_NAME = re.compile(r"^(\d{14})_\w+\.sql$")


class MigrationError(RuntimeError):
    """Migration is impossible; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class SqlFile:
    """`name` is the path below sql/."""

    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class MigrationPlan:
    """The files that a run would apply, in order."""

    migrations: list[SqlFile] = field(default_factory=list)
    repeatables: list[SqlFile] = field(default_factory=list)
    stops_short: bool = False  # `to` is not the newest migration: repeatable files wait

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
    """Raises MigrationError if the server is older than PostgreSQL 15."""
    version = connection.get_server_version()
    if version.major < OLDEST_POSTGRES:
        raise MigrationError(f"PostgreSQL {version.major} is too old: aclue needs {OLDEST_POSTGRES} or newer")


async def plan(connection: asyncpg.Connection[Any], folder: Path = SQL_FOLDER, *, to: str = "") -> MigrationPlan:
    """Compares sql/ with the history of the database; changes nothing. `to` is the last migration to run. Repeatable
    files match the newest tables, so they are skipped if that is not the newest migration.

    Raises MigrationError when an applied file has changed or is unknown here, or a new one would come before it.
    """
    applied = await applied_files(connection)
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
    if to:
        target = _named(to, files)
        if done and max(done) > target:
            raise MigrationError(f"{max(done)} was applied already, which comes after {target}; --rollback goes back")
        if target != files[-1].name:
            return MigrationPlan([file for file in pending if file.name <= target], stops_short=True)
    repeatables = [file for file in repeatable_files(folder) if applied.get(file.name) != file.checksum]
    return MigrationPlan(pending, repeatables)


def _named(name: str, files: list[SqlFile]) -> str:
    """The migration with this timestamp or file name."""
    wanted = name.removeprefix("sql/").removeprefix("migrations/").removesuffix(".sql")
    for file in files:
        stem = Path(file.name).stem
        if wanted in (stem, stem[:14]):
            return file.name
    raise MigrationError(
        f"there is no migration {name}; the newest is {files[-1].name if files else 'not written yet'}"
    )


async def migrate(
    connection: asyncpg.Connection[Any],
    *,
    folder: Path = SQL_FOLDER,
    to: str = "",
    on_applied: Callable[[str], None] = lambda name: None,
) -> MigrationPlan:
    """Applies pending files, as the owner; returns them. Each forward file has its own transaction; all repeatable
    files share one, so that no table is ever visible between its old and new policies. Then updates the planner's
    statistics, which autovacuum never does for partitioned tables."""
    async with exclusive(connection):
        todo = await plan(connection, folder, to=to)
        release = await connection.fetchval("select coalesce(max(release), 0) + 1 from private.applied_files")
        await connection.execute("set check_function_bodies = off")
        for file in todo.migrations:
            await _apply_migration(connection, file, release)
            on_applied(file.name)
        if todo.stops_short:
            await _close_tables(connection)
        async with connection.transaction():
            for file in todo.repeatables:
                await _run(connection, file, release)
                on_applied(file.name)
        if todo.migrations:
            await analyze(connection)
        return todo


@contextlib.asynccontextmanager
async def exclusive(connection: asyncpg.Connection[Any]) -> AsyncIterator[None]:
    """Checks the server, takes the runner's lock, creates the history, and sets a short lock timeout."""
    await check_version(connection)
    # Polled, because a concurrent index build would wait for a statement that waits for the lock.
    while not await connection.fetchval(f"select pg_try_advisory_lock({_LOCK})"):  # noqa: ASYNC110  another process
        await asyncio.sleep(0.2)
    try:
        try:
            await _create_history(connection)
        except asyncpg.InsufficientPrivilegeError as error:
            user = await connection.fetchval("select session_user")
            raise MigrationError(
                f"{user} may not create schemas in this database ({error}); MIGRATION_DATABASE_URL must be its owner"
            ) from error
        await connection.execute("set lock_timeout = '5s'")
        yield
    finally:
        if not connection.is_closed():
            await connection.execute(f"reset all; select pg_advisory_unlock({_LOCK})")


async def _apply_migration(connection: asyncpg.Connection[Any], file: SqlFile, release: int) -> None:
    if file.text.startswith(NO_TRANSACTION):
        # It waits for transactions on the table without blocking others, so it needs no short timeout.
        await connection.execute("set lock_timeout = 0")
        await _drop_half_built(connection, file)
        await _run(connection, file, release)
        await connection.execute("set lock_timeout = '5s'")
        return
    async with connection.transaction():
        await _run(connection, file, release)


async def _drop_half_built(connection: asyncpg.Connection[Any], file: SqlFile) -> None:
    """Drops the invalid index that an interrupted build of this file left, which blocks the next attempt."""
    rows = await connection.fetch(
        "select format('%I.%I', n.nspname, c.relname) from pg_index i join pg_class c on c.oid = i.indexrelid"
        " join pg_namespace n on n.oid = c.relnamespace where not i.indisvalid and c.relkind = 'i'"
        " and n.nspname in ('public', 'private') and $1 ~ ('\\m' || c.relname || '\\M')",
        file.text,
    )
    for row in rows:
        await connection.execute(f"drop index concurrently {row[0]}")


async def _run(connection: asyncpg.Connection[Any], file: SqlFile, release: int) -> None:
    await execute(connection, file)
    await connection.execute(
        "insert into private.applied_files (name, checksum, release) values ($1, $2, $3) on conflict (name) do update"
        " set checksum = excluded.checksum, release = excluded.release, applied_at = now()",
        file.name,
        file.checksum,
        release,
    )


async def execute(connection: asyncpg.Connection[Any], file: SqlFile) -> None:
    """Runs the statements of a file. Raises MigrationError, which names it."""
    try:
        await connection.execute(file.text)
    except asyncpg.PostgresError as error:
        raise MigrationError(f"{file.name}: {error}") from error


async def _close_tables(connection: asyncpg.Connection[Any]) -> None:
    """Enables row level security on tables without it: policies normally do that, but they are being skipped."""
    for table in await _tables(connection, "not c.relrowsecurity"):
        await connection.execute(f"alter table {table} enable row level security")


async def analyze(connection: asyncpg.Connection[Any]) -> None:
    """Updates the planner's statistics. Skips tables that are being analysed or altered, and empty ones: without
    statistics the planner assumes a few pages, and chooses indexes accordingly."""
    has_rows = (
        "(pg_relation_size(c.oid) > 0"
        " or exists (select from pg_partition_tree(c.oid) p where p.isleaf and pg_relation_size(p.relid) > 0))"
    )
    if tables := await _tables(connection, f"not c.relispartition and {has_rows}"):
        await connection.execute(f"analyze (skip_locked) {', '.join(tables)}")


async def _tables(connection: asyncpg.Connection[Any], condition: str) -> list[str]:
    rows = await connection.fetch(
        "select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        f" where n.nspname in ('public', 'private') and c.relkind in ('r', 'p') and {condition}"
        " and pg_has_role(c.relowner, 'usage') order by 1"
    )
    return [row[0] for row in rows]


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
    # Older histories lack both; checking first avoids an exclusive lock.
    if not await connection.fetchval(
        "select true from pg_attribute where attrelid = 'private.applied_files'::regclass and attname = 'release'"
    ):
        await connection.execute(
            "alter table private.applied_files enable row level security, add column release integer not null default 0"
        )


async def applied_files(connection: asyncpg.Connection[Any]) -> dict[str, str]:
    """{name: checksum} of applied files, read as the owner; empty before the first run."""
    try:
        if not await connection.fetchval("select to_regclass('private.applied_files') is not null"):
            return {}
        rows = await connection.fetch("select name, checksum from private.applied_files")
    except asyncpg.InsufficientPrivilegeError as error:
        raise MigrationError(f"{error}; MIGRATION_DATABASE_URL must be the owner of the database") from error
    return {row["name"]: row["checksum"] for row in rows}


async def ensure_api_login(owner: asyncpg.Connection[Any], api_dsn: str) -> None:
    """Grants anon, authenticated and service_role to the API's log-in; creates it if it is missing.

    A log-in that owns the schema is left unchanged, as it has these roles already. The API counts what either stores.
    """
    parts = urlsplit(api_dsn)
    name, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not name:
        return
    await owner.execute("insert into private.api_log_ins (name) values ($1) on conflict do nothing", name)
    if name == await owner.fetchval("select session_user"):
        return
    await _let_log_in(owner, name, password, API_ROLES, "DATABASE_URL")


async def ensure_worker_login(owner: asyncpg.Connection[Any], api_dsn: str, worker_dsn: str | None) -> None:
    """Grants job_worker and service_role to the log-in that runs jobs; creates it if it is missing. Without one, the
    API's log-in runs them."""
    name = unquote(urlsplit(api_dsn).username or "")
    if worker_dsn is None:
        if name and name != await owner.fetchval("select session_user"):
            await _grant(owner, name, WORKER_ROLES)
        return
    parts = urlsplit(worker_dsn)
    worker, password = unquote(parts.username or ""), unquote(parts.password or "")
    if worker == name:
        raise MigrationError(f"WORKER_DATABASE_URL has the log-in of DATABASE_URL, {name}: name another, or none")
    await owner.execute("insert into private.api_log_ins (name) values ($1) on conflict do nothing", worker)
    await _let_log_in(owner, worker, password, WORKER_ROLES, "WORKER_DATABASE_URL")
    if await owner.fetchval(
        "select true from pg_auth_members where roleid = to_regrole('job_worker') and member = to_regrole($1)",
        await owner.fetchval("select quote_ident($1)", name),
    ):
        await owner.execute(f"revoke job_worker from {await owner.fetchval('select quote_ident($1)', name)}")


async def turn_off_jit(owner: asyncpg.Connection[Any]) -> None:
    """Has Postgres interpret all statements of this database. Builds with LLVM compile those they think expensive, each
    time: for a statement of a few milliseconds that is a second and more (docs/deployment.md)."""
    if await owner.fetchval("select current_setting('jit')::boolean"):
        name = await owner.fetchval("select quote_ident(current_database())")
        await owner.execute(f"alter database {name} set jit = off")


async def _let_log_in(
    owner: asyncpg.Connection[Any], name: str, password: str, roles: tuple[str, ...], variable: str
) -> None:
    quoted = await owner.fetchval("select quote_ident($1)", name)
    if not await owner.fetchval("select true from pg_roles where rolname = $1", name):
        if not password:
            raise MigrationError(f"the role {name} of {variable} does not exist, and the URL has no password for it")
        secret = await owner.fetchval("select quote_literal($1)", password)
        await owner.execute(f"create role {quoted} login noinherit password {secret}")
    await _grant(owner, name, roles)


async def _grant(owner: asyncpg.Connection[Any], name: str, roles: tuple[str, ...]) -> None:
    quoted = await owner.fetchval("select quote_ident($1)", name)
    try:
        for role in roles:
            if not await owner.fetchval("select pg_has_role($1, $2, 'member')", name, role):
                await owner.execute(f"grant {role} to {quoted}")
    except asyncpg.InsufficientPrivilegeError as error:
        raise MigrationError(f"the owner may not let {name} become {', '.join(roles)}: {error}") from error
