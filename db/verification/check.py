"""Checks: a property, the faults that violate it, and a hint for fixing them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeAlias

import asyncpg

from db import claims as claims_module
from db.claims import Claims
from db.queries import QUERIES
from db.verification.expected import Expected
from settings import Settings

Connection: TypeAlias = "asyncpg.Connection[Any]"

STATEMENT_TIMEOUT_MS = 10_000
API_ROLES = ["anon", "authenticated", "service_role"]
PEOPLE_ROLES = ["anon", "authenticated"]


@dataclass(frozen=True)
class Bench:
    """The environment of checks. Everything they do is rolled back."""

    api: Connection
    owner: Connection | None
    settings: Settings
    expected: Expected
    schemas: list[str]
    """Our schemas: auth is ours only if no other service, such as Supabase, provides it."""

    async def rows(self, query: str, *, role: Claims | None = None, **values: Any) -> list[asyncpg.Record]:
        """Rows of a named query, as the API's log-in, or as one of the roles it may become."""
        if role is not None:
            await claims_module.apply(self.api, role, STATEMENT_TIMEOUT_MS)
        named = QUERIES[query]
        return await self.api.fetch(named.sql, *[values[name] for name in named.params])


Find: TypeAlias = Callable[[Bench], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Check:
    """`find` returns faults, a line each; none if `proves` holds. An exception counts as a fault."""

    name: str
    proves: str
    hint: str
    find: Find
    needs_owner: bool = False

    @property
    def group(self) -> str:
        return self.name.partition(".")[0]


class Outcome(Enum):
    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class Result:
    check: Check
    outcome: Outcome
    faults: list[str] = field(default_factory=list)
    milliseconds: float = 0.0


def query(name: str, *, role: Claims | None = None, **values: Any) -> Find:
    """The rows of a named query are the faults. A parameter `schemas` is filled with our schemas."""

    async def find(bench: Bench) -> list[str]:
        given = {"schemas": bench.schemas, **values} if "schemas" in QUERIES[name].params else values
        return [row["fault"] for row in await bench.rows(name, role=role, **given)]

    return find


def expecting(name: str, wanted: Callable[[Bench], Any]) -> Find:
    """The same, with a parameter `names` computed from the expected state."""

    async def find(bench: Bench) -> list[str]:
        values: dict[str, Any] = {"names": sorted(wanted(bench)), "schemas": bench.schemas}
        return [row["fault"] for row in await bench.rows(name, **values)]

    return find


async def run(check: Check, bench: Bench) -> Result:
    """Runs one check, and rolls it back. Waits neither long nor for locks."""
    connection = bench.owner if check.needs_owner else bench.api
    if connection is None:
        return Result(check, Outcome.NOT_RUN)
    started = time.perf_counter()
    try:
        faults = await _faults(check, bench, connection)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        faults = [f"{error or type(error).__name__}"]
    outcome = Outcome.FAILED if faults else Outcome.PASSED
    return Result(check, outcome, faults, (time.perf_counter() - started) * 1000)


async def _faults(check: Check, bench: Bench, connection: Connection) -> list[str]:
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(
            f"set local statement_timeout = {STATEMENT_TIMEOUT_MS}; set local lock_timeout = '1s';"
            " set local idle_in_transaction_session_timeout = '60s'"
        )
        return sorted(await check.find(bench))
    finally:
        if not connection.is_closed():
            await transaction.rollback()


async def make_bench(api: Connection, owner: Connection | None, settings: Settings) -> Bench:
    """Determines whether the auth schema is ours, on which expectations depend."""
    is_ours = await api.fetchval(
        "select coalesce(obj_description(oid, 'pg_namespace') = 'aclue', false)"
        " from pg_namespace where nspname = 'auth'"
    )
    schemas = ["public", "private", "jobs", *(["auth"] if is_ours else [])]
    return Bench(api, owner, settings, Expected.read(schemas), schemas)
