"""Waiting for something to be so in Postgres."""

from __future__ import annotations

from typing import Any

import asyncpg

SOMEBODY_WAITS_FOR_A_LOCK = "exists (select from pg_locks where locktype = 'advisory' and not granted)"
TRIES = 3000


async def until(connection: asyncpg.Connection[Any], condition: str, *arguments: Any) -> None:
    """Returns once the condition holds; it must become so in half a minute."""
    for _ in range(TRIES):
        if await connection.fetchval(f"select {condition} from pg_sleep(0.01)", *arguments):
            return
    raise AssertionError(f"never: {condition}")
