"""All checks, and one run of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

from db.verification import people, performance, roles, security, server, tables
from db.verification.check import Check, Connection, Result, make_bench, run
from settings import Settings

CHECKS: tuple[Check, ...] = (
    *server.CHECKS,
    *tables.CHECKS,
    *security.CHECKS,
    *roles.CHECKS,
    *people.CHECKS,
    *performance.CHECKS,
)


async def verify(api: Connection, owner: Connection | None, settings: Settings) -> AsyncIterator[Result]:
    """Runs them one after the other; those that need the owner are told as not run where there is none."""
    bench = await make_bench(api, owner, settings)
    for check in CHECKS:
        yield await run(check, bench)
