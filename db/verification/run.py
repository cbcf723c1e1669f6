"""All checks, and how to run them."""

from __future__ import annotations

from collections.abc import AsyncIterator

from db.verification import ledger, people, performance, roles, security, server, tables
from db.verification.check import Check, Connection, Result, make_bench, run
from settings import Settings

CHECKS: tuple[Check, ...] = (
    *server.CHECKS,
    *tables.CHECKS,
    *security.CHECKS,
    *roles.CHECKS,
    *people.CHECKS,
    *ledger.CHECKS,
    *performance.CHECKS,
)


async def verify(api: Connection, owner: Connection | None, settings: Settings) -> AsyncIterator[Result]:
    """Runs the checks in order; those that need the owner are reported as not run without one."""
    bench = await make_bench(api, owner, settings)
    for check in CHECKS:
        yield await run(check, bench)
