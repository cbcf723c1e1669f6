"""Rebuilds personality profiles from behaviour, in the background."""

from __future__ import annotations

import structlog

from db.claims import SERVICE
from db.database import Database
from domain.errors import Timeout

log = structlog.get_logger("aclue.personality")

BATCH = 50  # people per transaction
TIMEOUT_MS = 60 * 1000  # of a batch; a person with as many signals as count takes up to 2 seconds
MAX_POSTPONED = 3  # per run


async def update_from_behaviour(database: Database, *, limit: int, timeout_ms: int = TIMEOUT_MS) -> int:
    """Rebuilds the profiles that are due, from quiz and swipes, in small transactions; returns how many. Stops after
    about `limit`, or if another worker is running.

    A batch that takes too long is halved, so that people with many signals delay others, but never stop the job. A
    person who takes too long alone has to wait until the others are done."""
    done = postponed = 0
    size = BATCH
    while done < limit:
        try:
            async with database.session(SERVICE, read_only=False, statement_timeout_ms=timeout_ms) as session:
                batch: int = await session.fetchval("personality.update_from_behaviour", size=size)
        except Timeout:
            if size > 1:
                size //= 2
                continue
            log.warning("a personality was postponed: it took too long", milliseconds=timeout_ms)
            async with database.session(SERVICE, read_only=False) as session:
                await session.fetch("personality.postpone")
            postponed += 1
            if postponed == MAX_POSTPONED:
                break
            continue
        if batch == 0:
            break
        done += batch
        size = min(BATCH, size * 2)
    return done
