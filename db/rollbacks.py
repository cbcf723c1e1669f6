"""Rolls the last release back: sql/rollbacks/<migration>.sql undoes the migration of that name.

A release consists of the files that one run of `aclue migrate` applied. It is rolled back in one transaction, as a
whole or not at all, and only if every table keeps its row level security.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import asyncpg

from db.migrations import (
    REPEATABLE_FOLDERS,
    SQL_FOLDER,
    MigrationError,
    SqlFile,
    analyze,
    exclusive,
    execute,
    plan,
)

_MISSING = "rollbacks/missing.txt"
_REASON = re.compile(r"\A(?:--[^\n]*\n)*?-- no rollback: (\S[^\n]*)\n")
_COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_OPENS = re.compile(r"\b(disable|no\s+force)\s+row\s+level\s+security\b", re.IGNORECASE)


async def plan_rollback(connection: asyncpg.Connection[Any], folder: Path = SQL_FOLDER) -> list[SqlFile]:
    """The files that undo the last release, the newest migration first.

    Raises MigrationError when nothing was applied, when this code does not fit the database, or when a file is missing
    or would turn row level security off.
    """
    await plan(connection, folder)  # refuses a database that this code does not know
    try:
        rows = await connection.fetch(
            "select name, release from private.applied_files where name like 'migrations/%'"
            " and release = (select max(release) from private.applied_files where name like 'migrations/%')"
            " order by name desc"
        )
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError):
        rows = []
    if not rows:
        raise MigrationError("there is no release to roll back")
    if rows[0]["release"] == 0:
        raise MigrationError("the last release was applied before releases were counted; restore a backup instead")
    return [_file_of(row["name"], folder) for row in rows]


def _file_of(migration: str, folder: Path) -> SqlFile:
    name = f"rollbacks/{Path(migration).name}"
    try:
        text = (folder / name).read_text()
    except FileNotFoundError:
        reason = why_not(Path(migration).name, folder) or f"there is no sql/{name}"
        raise MigrationError(
            f"{migration} cannot be rolled back: {reason}; write a migration that goes forward, or restore a backup"
        ) from None
    if _OPENS.search(_COMMENTS.sub(" ", text)):
        raise MigrationError(f"{name} would turn row level security off; it never goes for a rollback")
    return SqlFile(name, text)


def why_not(migration: str, folder: Path = SQL_FOLDER) -> str | None:
    """Why a migration has no rollback, as a comment at its beginning says (`-- no rollback: reason`), or for those of
    before the first release a list; None if nothing does."""
    if found := _REASON.match((folder / "migrations" / migration).read_text()):
        return found[1]
    listed = folder / _MISSING
    for line in listed.read_text().splitlines() if listed.exists() else ():
        name, _, reason = line.partition(": ")
        if name == migration:
            return reason
    return None


async def rollback(
    connection: asyncpg.Connection[Any], *, folder: Path = SQL_FOLDER, accept_data_loss: bool = False
) -> list[str]:
    """Undoes the last release, as the owner; returns the undone migrations, newest first. The history of repeatable
    files is deleted, too, so that the next run applies those of its code.

    Raises MigrationError, and changes nothing, when data would be lost and that is not accepted, or when a table would
    stand without the row level security it had.
    """
    async with exclusive(connection):
        files = await plan_rollback(connection, folder)
        async with connection.transaction():
            if not accept_data_loss and (lost := await _losses(connection, files)):
                raise MigrationError(f"a rollback would lose {', '.join(lost)}; --accept-data-loss says that it may")
            closed = await _tables_with_row_level_security(connection)
            for file in files:
                await execute(connection, file)
            await _check_that_nothing_opened(connection, closed)
            gone = [file.name.replace("rollbacks/", "migrations/", 1) for file in files]
            await connection.execute(
                "delete from private.applied_files where name = any($1) or split_part(name, '/', 1) = any($2)",
                gone,
                list(REPEATABLE_FOLDERS),
            )
        await analyze(connection)
        return gone


class _Rehearsed(Exception):
    """Rolls a rehearsal back."""


async def _losses(connection: asyncpg.Connection[Any], files: list[SqlFile]) -> list[str]:
    """What the files would take away with them, found by running them and looking at what is no longer there."""
    columns, deleted = await _columns(connection), await _deleted(connection)
    try:
        async with connection.transaction():
            for file in files:
                await execute(connection, file)
            left, deleted_after = await _columns(connection), await _deleted(connection)
            raise _Rehearsed
    except _Rehearsed:
        pass
    lost = [f"rows of {table}" for table, count in deleted_after.items() if count > deleted.get(table, 0)]
    for table in sorted({table for table, _ in columns - left}):
        await connection.execute(f"lock table {table} in share mode")  # nobody may add rows between a look and a drop
        gone = sorted(column for of, column in columns - left if of == table)
        if table not in {of for of, _ in left}:
            if await connection.fetchval(f"select exists (select from {table})"):
                lost.append(f"table {table}")
            continue
        for column in gone:
            if await connection.fetchval(f"select exists (select from {table} where {column} is not null)"):
                lost.append(f"column {table}.{column}")
    return lost


async def _columns(connection: asyncpg.Connection[Any]) -> set[tuple[str, str]]:
    """(table, column) of what the owner keeps; generated columns can be made again."""
    rows = await connection.fetch(
        """
        select format('%I.%I', n.nspname, c.relname) as "table", quote_ident(a.attname) as "column"
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
        where c.relkind in ('r', 'p') and pg_has_role(c.relowner, 'usage')
          and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
        """
    )
    return {(row["table"], row["column"]) for row in rows}


async def _deleted(connection: asyncpg.Connection[Any]) -> dict[str, int]:
    rows = await connection.fetch("select schemaname, relname, n_tup_del from pg_stat_xact_user_tables")
    return {f"{row['schemaname']}.{row['relname']}": row["n_tup_del"] for row in rows}


async def _tables_with_row_level_security(connection: asyncpg.Connection[Any]) -> set[int]:
    rows = await connection.fetch("select oid from pg_class where relkind in ('r', 'p') and relrowsecurity")
    return {row["oid"] for row in rows}


async def _check_that_nothing_opened(connection: asyncpg.Connection[Any], closed: set[int]) -> None:
    rows = await connection.fetch(
        "select oid::regclass::text as name from pg_class where relkind in ('r', 'p') and not relrowsecurity"
        " and (oid = any($1) or relnamespace = 'public'::regnamespace)",
        list(closed),
    )
    if rows:
        raise MigrationError(f"after this rollback {rows[0]['name']} would stand without row level security")
