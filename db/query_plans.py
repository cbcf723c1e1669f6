"""Plans of Postgres, as EXPLAIN gives them in JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import asyncpg


def nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A node of a plan and those below it."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


async def plan_of(connection: asyncpg.Connection[Any], sql: str) -> dict[str, Any]:
    """The generic plan of a statement with parameters. Raises PostgresError if it cannot be planned."""
    prepared = await connection.prepare(sql)
    nulls = ", ".join("null" for _ in prepared.get_parameters())
    await connection.execute(f"prepare candidate as {sql}")
    try:
        text = await connection.fetchval(f"explain (format json) execute candidate{f'({nulls})' if nulls else ''}")
    finally:
        await connection.execute("deallocate candidate")
    plan: dict[str, Any] = json.loads(text)[0]["Plan"]
    return plan
