"""Rebuilds what figures are read from, or checks it: docs/analytics.md."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Annotated

import asyncpg
import typer

from commands.terminal import api_database, databases, fail, lacks_migrations, load_settings, progress
from db.claims import SERVICE
from db.database import Database
from domain.errors import AclueError
from services import rollups


def rebuild(
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit with 1 if a day differs.")] = False,
) -> None:
    """Compute the figures of all days, and all visits, from their rows again. With --check, compare instead: days that
    wait for the job are left out."""
    settings = load_settings()

    async def run(database: Database) -> list[date]:
        if check:
            return await _differing(database)
        async with database.session(SERVICE, read_only=False) as session:
            await session.fetch("rollups.rebuild")
        with progress("Computing") as advance:
            async for day in rollups.days(database):
                advance(f"{day}")
        return []

    with databases(settings) as dsns:

        async def work() -> list[date]:
            async with api_database(settings, dsns) as database:
                return await run(database)

        try:
            differing = asyncio.run(work())
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, AclueError) as error:
            if lacks_migrations(error):
                raise
            fail(f"days that were done stay done, the others are still due: {error}")
    for day in differing:
        print(day)
    if differing:
        fail(f"{len(differing)} days differ from their rows; rebuild them")


async def _differing(database: Database) -> list[date]:
    found = []
    async with database.session(SERVICE, read_only=True) as session:
        days = [row["day"] for row in await session.fetch("rollups.days")]
    with progress("Comparing") as advance:
        for day in days:
            advance(f"{day}")
            async with database.session(
                SERVICE, read_only=True, statement_timeout_ms=rollups.DAY_TIMEOUT_MS
            ) as session:
                if await session.fetchval("rollups.differs", day=day):
                    found.append(day)
    return found
