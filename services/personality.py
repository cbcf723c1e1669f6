"""Rebuilds personality profiles from behaviour, in the background."""

from __future__ import annotations

from db.claims import SERVICE
from db.database import Database

BATCH = 50  # people per transaction


async def update_from_behaviour(database: Database, *, limit: int) -> int:
    """Rebuilds the profiles that are due, from quiz and swipes, in small transactions; returns how many. Stops after
    about `limit`, or if another worker is running."""
    done = 0
    while done < limit:
        async with database.session(SERVICE, read_only=False) as session:
            batch: int = await session.fetchval("personality.update_from_behaviour", size=BATCH)
        if batch == 0:
            break
        done += batch
    return done
