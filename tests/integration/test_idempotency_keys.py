"""Idempotency keys: done once, whatever is repeated, and only for the same request of the same person."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import asyncpg
import pytest

from db.claims import Claims
from db.database import Database
from domain.errors import IdempotencyKeyReused, Invalid
from resolvers.idempotency_keys import once
from tests.conftest import Shop
from tests.integration.waiting import SOMEBODY_WAITS_FOR_A_LOCK, until

Connection: TypeAlias = "asyncpg.Connection[Any]"
CLICK = """
mutation ($input: AffiliateClickInput!) {
  createAffiliateClick(input: $input) { click { id } userErrors { code message field } }
}
"""


async def person(owner: Connection) -> Claims:
    id = await owner.fetchval("insert into public.profiles default values returning id")
    return Claims("authenticated", UUID(bytes=id.bytes), raw=f'{{"role":"authenticated","sub":"{id}"}}')


class Work:
    """Something that must be done once."""

    def __init__(self) -> None:
        self.results: list[UUID] = []

    async def __call__(self) -> UUID:
        self.results.append(uuid4())
        return self.results[-1]


async def ask(
    database: Database,
    claims: Claims,
    do: Callable[[], Awaitable[UUID]],
    key: str | None = "key",
    request: Any = "request",
    operation: str = "operation",
) -> UUID:
    async with database.session(claims, read_only=False) as session:
        return await once(session, operation, key, request, do)


@pytest.fixture
async def somebody(owner: Connection) -> Claims:
    return await person(owner)


async def test_a_repeat_gives_the_first_result(database: Database, somebody: Claims) -> None:
    work = Work()
    first = await ask(database, somebody, work)
    assert await ask(database, somebody, work) == first
    assert work.results == [first]


async def test_another_request_under_the_same_key_is_refused(database: Database, somebody: Claims) -> None:
    work = Work()
    await ask(database, somebody, work, request=["product", 1])
    with pytest.raises(IdempotencyKeyReused) as refused:
        await ask(database, somebody, work, request=["product", 2])
    assert refused.value.field == ("idempotencyKey",)
    assert len(work.results) == 1


async def test_the_order_of_members_does_not_make_another_request(database: Database, somebody: Claims) -> None:
    work = Work()
    first = await ask(database, somebody, work, request={"a": 1, "b": 2})
    assert await ask(database, somebody, work, request={"b": 2, "a": 1}) == first


async def test_without_a_key_it_is_done_every_time(database: Database, somebody: Claims) -> None:
    work = Work()
    assert await ask(database, somebody, work, key=None) != await ask(database, somebody, work, key=None)


async def test_a_key_is_of_one_operation(database: Database, somebody: Claims) -> None:
    work = Work()
    first = await ask(database, somebody, work)
    assert await ask(database, somebody, work, operation="another") != first


async def test_a_key_is_of_one_person(database: Database, somebody: Claims, owner: Connection) -> None:
    work = Work()
    first = await ask(database, somebody, work)
    assert await ask(database, await person(owner), work) != first


async def test_a_failure_leaves_the_key_free(database: Database, somebody: Claims) -> None:
    async def fail() -> UUID:
        raise LookupError

    with pytest.raises(LookupError):
        await ask(database, somebody, fail, request="first")
    work = Work()
    assert await ask(database, somebody, work, request="second") in work.results


async def test_a_repeat_waits_for_the_request_that_is_still_running(
    database: Database, somebody: Claims, owner: Connection
) -> None:
    started, may_end = asyncio.Event(), asyncio.Event()
    work = Work()

    async def slowly() -> UUID:
        started.set()
        await may_end.wait()
        return await work()

    first = asyncio.create_task(ask(database, somebody, slowly))
    await started.wait()
    second = asyncio.create_task(ask(database, somebody, work))
    await until(owner, SOMEBODY_WAITS_FOR_A_LOCK)
    may_end.set()
    assert await first == await second
    assert len(work.results) == 1


async def test_many_at_once_are_done_once(database: Database, somebody: Claims) -> None:
    work = Work()
    found = await asyncio.gather(*(ask(database, somebody, work) for _ in range(8)))
    assert set(found) == set(work.results)
    assert len(work.results) == 1


@pytest.mark.parametrize("key", ["", "x" * 201])
async def test_a_key_of_the_wrong_length_is_refused(database: Database, somebody: Claims, key: str) -> None:
    with pytest.raises(Invalid, match="1 to 200 characters"):
        await ask(database, somebody, Work(), key=key)


@pytest.mark.parametrize("key", ["x", "x" * 200, "ключ 🎁", "'; drop table"])
async def test_any_key_of_the_right_length_will_do(database: Database, somebody: Claims, key: str) -> None:
    work = Work()
    assert await ask(database, somebody, work, key=key) == await ask(database, somebody, work, key=key)


async def test_a_key_that_postgres_cannot_store_is_refused_kindly(shop: Shop) -> None:
    client = await shop.anonymous()
    product = await client.product("Camping 1")
    refused = await client.refusal(CLICK, input={"productId": product["id"], "idempotencyKey": "a\0b"})
    assert refused["field"] == ["idempotencyKey"] and "NUL" in refused["message"]
