"""Personality profiles that follow behaviour, rebuilt in the background."""

from __future__ import annotations

from db.claims import SERVICE
from db.database import Database

BATCH = 50  # people of one transaction


async def update_from_behaviour(database: Database, *, most: int) -> int:
    """Rebuilds the profiles that are due, from quiz and swipes, in small transactions; how many people that were. Stops
    after about this many, or where another worker is at it."""
    done = 0
    while done < most:
        async with database.session(SERVICE, read_only=False) as session:
            batch: int = await session.fetchval("personality.update_from_behaviour", size=BATCH)
        if batch == 0:
            break
        done += batch
    return done
