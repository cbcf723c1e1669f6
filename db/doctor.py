"""Reads how a running database is, for `aclue doctor`. Changes nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import asyncpg

from db.queries import QUERIES
from domain.doctor import Connections, Disk, Lock, Reading, Statement, Table, UnusedIndex

STATEMENT_TIMEOUT_MS = 10_000
MAX_STATEMENTS = 500
MIN_INDEX_BYTES = 1024 * 1024


async def read(connection: asyncpg.Connection[Any], data: Path | None) -> Reading:
    """Everything at this time. `data` is the folder of the database, if it is on this machine. `connection` is the
    owner's or a superuser's. Raises asyncpg.PostgresError if the database has no schema of this release."""
    missing: list[str] = []
    async with connection.transaction(readonly=True):
        await connection.execute(f"set local statement_timeout = {STATEMENT_TIMEOUT_MS}; set local lock_timeout = '1s'")
        state = await connection.fetchrow(QUERIES["doctor.state"].sql)
        assert state
        if not state["sees_all"]:
            role = await connection.fetchval("select current_user")
            missing.append(f"what other roles do is hidden: as a superuser, grant pg_monitor to {role}")
        statements: list[asyncpg.Record] = []
        try:
            async with connection.transaction():
                statements = await connection.fetch(QUERIES["doctor.statements"].sql, MAX_STATEMENTS)
        except asyncpg.ObjectNotInPrerequisiteStateError as error:
            hint = f" {error.hint}" if error.hint else " Add it to shared_preload_libraries, and restart Postgres."
            missing.append(f"statements: {error.message}.{hint}")
        connections = await connection.fetchrow(QUERIES["doctor.connections"].sql)
        return Reading(
            taken_at=state["taken_at"],
            version=state["version"],
            bytes=state["bytes"],
            counted_since=state["counted_since"],
            statements=_converted(statements, Statement),
            connections=Connections(**dict(connections or {})),
            locks=_converted(await connection.fetch(QUERIES["doctor.locks"].sql), Lock),
            tables=_converted(await connection.fetch(QUERIES["doctor.tables"].sql), Table),
            unused_indexes=_converted(
                await connection.fetch(QUERIES["doctor.unused_indexes"].sql, MIN_INDEX_BYTES), UnusedIndex
            ),
            disk=_disk(data),
            missing=missing,
        )


def _converted(rows: list[asyncpg.Record], kind: type[Any]) -> list[Any]:
    return [kind(**dict(row)) for row in rows]


def _disk(data: Path | None) -> Disk | None:
    if data is None:
        return None
    usage = shutil.disk_usage(data)
    return Disk(size=usage.total, free=usage.free)
