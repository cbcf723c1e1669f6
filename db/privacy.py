"""Privacy tasks of the owner: repeating erasures on a restored backup, and retention."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import msgspec

from db.queries import QUERIES
from settings import Settings

BATCH_ROWS = 5_000


class Tombstone(msgspec.Struct, frozen=True, rename="camel"):
    """A line of a file of tombstones. The hash is hexadecimal."""

    subject_hash: str
    erased_at: datetime


class BadTombstones(ValueError):
    """The file is invalid; the message names the line."""


async def tombstones(connection: asyncpg.Connection[Any]) -> list[Tombstone]:
    """All tombstones in the database, oldest first."""
    rows = await connection.fetch(QUERIES["privacy.tombstones"].sql)
    return [Tombstone(row["subject_hash"].hex(), row["erased_at"]) for row in rows]


def read_tombstones(lines: Iterable[str]) -> list[Tombstone]:
    """The tombstones of a file of JSON lines. Raises BadTombstones."""
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            tombstone = msgspec.json.decode(line, type=Tombstone)
            if len(bytes.fromhex(tombstone.subject_hash)) != 32:
                raise ValueError
        except ValueError:
            raise BadTombstones(f"line {number} is no tombstone") from None
        found.append(tombstone)
    return found


async def reapply(
    owner: asyncpg.Connection[Any], hash_of: Callable[[UUID], bytes], more: Iterable[Tombstone] = ()
) -> int:
    """Erases everybody with a tombstone, in the database or in `more`, again; returns how many people."""
    for tombstone in more:
        arguments = (bytes.fromhex(tombstone.subject_hash), tombstone.erased_at)
        await owner.execute(QUERIES["privacy.keep_tombstone"].sql, *arguments)
    known = {bytes.fromhex(tombstone.subject_hash) for tombstone in await tombstones(owner)}
    async with owner.transaction():
        people = [row["id"] async for row in owner.cursor(QUERIES["privacy.people"].sql, prefetch=10_000)]
    erased = [person for person in people if hash_of(person) in known]
    for person in erased:
        await owner.fetchval(QUERIES["privacy.erase"].sql, person, [hash_of(person)])
    return len(erased)


def periods(settings: Settings) -> Mapping[str, int]:
    """Days per kind of data: the blocks `purge_*` of sql/queries/privacy.sql, in execution order."""
    return {
        "views": settings.retention_views,
        "impressions": settings.retention_views,
        "events": settings.retention_analytics,
        "visits": settings.retention_analytics,
        "anonymous": settings.retention_anonymous,
        "sessions": settings.retention_sessions,
        "redirects": settings.retention_redirects,
        "audit_log": settings.retention_audit_log,
        "system_logs": settings.retention_system_logs,
        "imports": settings.retention_imports,
        "keys": 1,
        "attempts": 1,
    }


Purge: TypeAlias = Callable[[str, int, int], Awaitable[int]]
"""Runs a block of queries for (days, maximum number of rows) in a transaction; returns how many rows it deleted."""


async def purge(run: Purge, settings: Settings) -> dict[str, int]:
    """Deletes rows older than their period, in batches that each commit; returns the number of rows per kind."""
    removed = {}
    for kind, days in periods(settings).items():
        removed[kind] = 0
        while batch := await run(f"privacy.purge_{kind}", days, BATCH_ROWS):
            removed[kind] += batch
    return removed


def as_owner(owner: asyncpg.Connection[Any]) -> Purge:
    """Purges as the owner of the schema."""

    async def run(query: str, days: int, maximum: int) -> int:
        gone: int = await owner.fetchval(QUERIES[query].sql, days, maximum)
        return gone

    return run
