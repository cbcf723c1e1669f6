"""The environment of checks that simulate people: a transaction of the owner, with three people and a product."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from db import claims as claims_module
from db.claims import Claims
from db.queries import QUERIES
from db.verification.check import API_ROLES, STATEMENT_TIMEOUT_MS, Bench, Connection, Find


def person(user: UUID, role: str = "authenticated", **more: Any) -> Claims:
    """The claims of a person's token."""
    return Claims.from_payload({"sub": str(user), "role": role, "exp": 0, **more})


@dataclass
class Stage:
    """A connection of the owner in a transaction, with the rows that were inserted for the checks."""

    connection: Connection
    anna: UUID = field(default_factory=uuid4)
    ben: UUID = field(default_factory=uuid4)
    visitor: UUID = field(default_factory=uuid4)
    product: UUID = field(default_factory=uuid4)
    key: str = field(default_factory=lambda: f"verify-{uuid4().hex}")

    async def plant(self) -> None:
        await self.do("plant_people", people=[self.anna, self.ben, self.visitor], anonymous=self.visitor)
        await self.do("plant_shop", key=self.key)
        await self.do("plant_product", key=self.key, product=self.product)

    async def switch_claims(self, who: Claims | None) -> None:
        """None: the owner again."""
        await self.connection.execute("select set_config('role', 'none', true)")
        if who is not None:
            await claims_module.apply(self.connection, who, STATEMENT_TIMEOUT_MS)

    async def do(self, block: str, **values: Any) -> Any:
        """The first value of a block of sql/queries/verify_people.sql."""
        named = QUERIES[f"verify_people.{block}"]
        return await self.connection.fetchval(named.sql, *[values[name] for name in named.params])

    async def is_refused(self, block: str, **values: Any) -> bool:
        """Whether a missing privilege or a policy refuses it."""
        try:
            async with self.connection.transaction():
                await self.do(block, **values)
        except asyncpg.InsufficientPrivilegeError:
            return True
        return False

    async def swipe(self, direction: str = "right") -> UUID:
        swipe: UUID = await self.do("swipe", key=uuid4().hex, product=self.product, direction=direction)
        return swipe

    async def count(self, table: str, user: UUID) -> int:
        """The number of this person's rows that the role sees."""
        column = "id" if table == "profiles" else "user_id"
        count: int = await self.connection.fetchval(f"select count(*) from public.{table} where {column} = $1", user)
        return count


@contextlib.asynccontextmanager
async def staged(bench: Bench) -> AsyncIterator[Stage]:
    """The stage; the owner may switch to the three roles, and if necessary grants them to itself for that."""
    assert bench.owner is not None
    stage = Stage(bench.owner)
    for role in API_ROLES:
        try:
            async with stage.connection.transaction():
                await stage.connection.execute("select set_config('role', $1, true)", role)
        except asyncpg.InsufficientPrivilegeError:
            await stage.switch_claims(None)
            await stage.connection.execute(f"grant {role} to current_user")
    await stage.switch_claims(None)
    await stage.plant()
    yield stage


def played(scene: Callable[[Stage], Awaitable[list[str]]]) -> Find:
    async def find(bench: Bench) -> list[str]:
        async with staged(bench) as stage:
            return await scene(stage)

    return find
