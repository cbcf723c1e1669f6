"""Checks whether a database matches the code that is about to serve from it."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any

import asyncpg

from db import claims
from db.migrations import SQL_FOLDER, MigrationError, migration_files, repeatable_files
from db.queries import QUERIES

_CODE = Path(__file__).resolve().parent.parent
_ANSWERING = ("domain", "db", "services", "plan", "resolvers", "schema", "engine", "sql/queries", "sql/functions")
_RUN_MIGRATE = "run `aclue migrate` with MIGRATION_DATABASE_URL set"


@functools.cache
def code_digest() -> bytes:
    """A hash of the code that answers questions: two versions may answer the same one differently."""
    found = hashlib.blake2b(digest_size=16)
    for folder in _ANSWERING:
        for file in sorted((_CODE / folder).rglob("*")):
            if file.suffix in (".py", ".sql"):
                found.update(f"{file.relative_to(_CODE)}\0".encode())
                found.update(hashlib.blake2b(file.read_bytes()).digest())
    return found.digest()


async def differences(api: asyncpg.Connection[Any], folder: Path = SQL_FOLDER) -> list[str]:
    """Harmless differences between database and code, as far as the API's log-in can see: files that this code does not
    have (it was rolled back), or has in a different version.

    Raises MigrationError if a file of this code was never applied.
    """
    files = [*migration_files(folder), *repeatable_files(folder)]
    try:
        async with api.transaction(readonly=True):
            await claims.apply(api, claims.SERVICE, 5000)
            applied = {row["name"]: row["checksum"] for row in await api.fetch(QUERIES["migrations.applied"].sql)}
    except (asyncpg.UndefinedFunctionError, asyncpg.InvalidSchemaNameError):
        raise MigrationError(f"the database is not migrated: {_RUN_MIGRATE}") from None
    except (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidParameterValueError) as error:
        raise MigrationError(
            f"the log-in of DATABASE_URL cannot become service_role ({error}): {_RUN_MIGRATE}"
        ) from None
    if missing := [file.name for file in files if file.name not in applied]:
        raise MigrationError(f"the database is behind this code, it lacks {missing[0]}: {_RUN_MIGRATE}")
    known = {file.name: file.checksum for file in files}
    return [
        f"the database has {name}, which this code does not"
        if name not in known
        else f"{name} was applied in another form than this code's"
        for name, checksum in sorted(applied.items())
        if known.get(name) != checksum and (name in known or name.startswith("migrations/"))
    ]
