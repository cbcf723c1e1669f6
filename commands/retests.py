"""The quizzes that people took more than once, from the database."""

from __future__ import annotations

import asyncio
import json

from commands.terminal import connected_as_owner, databases, load_settings
from db.embedded import Dsns
from db.queries import QUERIES
from domain.instruments import Instrument
from training.retests import Pair

MIN_QUALITY = 0.8  # hasty retakes say nothing of the instrument


def pairs(instrument: Instrument) -> list[Pair]:
    """The first and the newest quiz of each person who took this version twice and allows its use."""
    with databases(load_settings()) as dsns:
        return asyncio.run(_fetch(dsns, instrument))


async def _fetch(dsns: Dsns, instrument: Instrument) -> list[Pair]:
    async with connected_as_owner(dsns) as owner:
        sql = QUERIES["retests.first_and_last"].sql
        rows = await owner.fetch(sql, instrument.code, instrument.version, MIN_QUALITY)
    return [Pair(_scores(row["first"]), _scores(row["last"]), row["first_at"], row["last_at"]) for row in rows]


def _scores(jsonb: str) -> dict[str, float]:
    return {trait: float(score) for trait, score in json.loads(jsonb).items() if isinstance(score, int | float)}
