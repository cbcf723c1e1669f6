"""Owner's work for privacy: erasures applied again to a restored backup, and retention."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any
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
    """A file that holds no tombstones; the message names the line."""


async def tombstones(connection: asyncpg.Connection[Any]) -> list[Tombstone]:
    """All that the database knows, oldest first."""
    rows = await connection.fetch(QUERIES["privacy.tombstones"].sql)
    return [Tombstone(row["subject_hash"].hex(), row["erased_at"]) for row in rows]


def read_tombstones(lines: Iterable[str]) -> list[Tombstone]:
    """Those of a file, one JSON object a line. Raises BadTombstones."""
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
    """Erases again everybody of whom there is a tombstone, in the database or among `more`; how many that were."""
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
    """Days per kind of data: the blocks `purge_*` of sql/queries/privacy.sql, in the order they run."""
    return {
        "views": settings.retention_views,
        "events": settings.retention_analytics,
        "visits": settings.retention_analytics,
        "anonymous": settings.retention_anonymous,
        "sessions": settings.retention_sessions,
        "redirects": settings.retention_redirects,
        "audit_log": settings.retention_audit_log,
        "system_logs": settings.retention_system_logs,
        "keys": 1,
        "attempts": 1,
    }


async def purge(owner: asyncpg.Connection[Any], settings: Settings) -> dict[str, int]:
    """Removes what is older than its period, in batches that each commit; rows removed per kind."""
    removed = {}
    for kind, days in periods(settings).items():
        removed[kind] = 0
        while batch := await owner.fetchval(QUERIES[f"privacy.purge_{kind}"].sql, days, BATCH_ROWS):
            removed[kind] += batch
    return removed
