"""Bulk loads: indexes and foreign keys are dropped, and rebuilt once the rows are in.

All of it happens in the caller's transaction: an error, a killed process or a crash of the server rolls the tables
back, including their indexes. Until the commit nobody else can read them.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import asyncpg

from db.queries import QUERIES


@contextlib.asynccontextmanager
async def without_indexes(
    connection: asyncpg.Connection[Any], tables: Sequence[str], on_build: Callable[[str], None] = lambda name: None
) -> AsyncIterator[None]:
    """Inside the block these tables have no indexes, and no foreign keys lead from or to them."""
    if not connection.is_in_transaction():
        raise RuntimeError("only in a transaction: an interruption would leave the tables without indexes")
    rows = await connection.fetch(QUERIES["bulk.constraints_and_indexes"].sql, list(tables))
    for row in rows:  # foreign keys first: they depend on the indexes
        await connection.execute(row["drop"])
    yield
    for row in reversed(rows):
        on_build(row["name"])
        await connection.execute(row["create"])
        if row["comment"]:
            await connection.execute(row["comment"])
