"""UUIDv7 from private.uuid_v7(): built in, or composed in plain SQL before PostgreSQL 18."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import pytest

from db.migrations import migration_files

Connection: TypeAlias = "asyncpg.Connection[Any]"
FUNCTION = re.compile(r"create function private\.uuid_v7\(\) returns uuid.*?;", re.DOTALL)
BUILT_IN, PLAIN = "private.uuid_v7", "private.uuid_v7_before_18"
functions = pytest.mark.parametrize("function", [BUILT_IN, PLAIN])


@pytest.fixture(autouse=True)
async def plain_function(owner: Connection) -> None:
    """The function that older servers get, under another name, from the text of the migration."""
    foundation = next(file.text for file in migration_files() if file.name.endswith("_foundation.sql"))
    built_in, plain = FUNCTION.findall(foundation)
    assert "pg_catalog.uuidv7()" in built_in
    assert "gen_random_uuid" in plain
    await owner.execute(plain.replace(BUILT_IN, PLAIN, 1))


def milliseconds(id: UUID) -> int:
    return id.int >> 80


def milliseconds_of(moment: datetime) -> float:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000


async def made(owner: Connection, function: str, count: int) -> list[UUID]:
    rows = await owner.fetch(f"select {function}() as id from generate_series(1, $1)", count)
    return [UUID(bytes=row["id"].bytes) for row in rows]


@functions
async def test_version_and_variant_are_those_of_uuid_7(owner: Connection, function: str) -> None:
    ids = await made(owner, function, 1000)
    assert {id.version for id in ids} == {7}
    assert {id.variant for id in ids} == {"specified in RFC 4122"}


@functions
async def test_ids_differ(owner: Connection, function: str) -> None:
    assert len(set(await made(owner, function, 10_000))) == 10_000


@functions
async def test_an_id_begins_with_its_time(owner: Connection, function: str) -> None:
    row = await owner.fetchrow(
        f"""
        with b as materialized (select clock_timestamp() as at),
        i as materialized (select {function}() as id from b)
        select b.at as before, i.id, clock_timestamp() as after from b, i
        """
    )
    assert row is not None
    at = milliseconds(UUID(bytes=row["id"].bytes))
    assert milliseconds_of(row["before"]) - 1 <= at <= milliseconds_of(row["after"]) + 1


@functions
async def test_later_ids_sort_behind_earlier_ones(owner: Connection, function: str) -> None:
    rows = await owner.fetch(f"select {function}() as id, pg_sleep(0.002) from generate_series(1, 20)")
    ids = [row["id"] for row in rows]
    assert ids == sorted(ids)
    assert await owner.fetchval("select array_agg(id order by id) from unnest($1::uuid[]) id", ids) == ids


@functions
async def test_the_other_bits_are_random(owner: Connection, function: str) -> None:
    tails = [id.int & ((1 << 62) - 1) for id in await made(owner, function, 1000)]
    ones = [sum(tail >> bit & 1 for tail in tails) for bit in range(62)]
    assert all(0 < count < 1000 for count in ones)


async def test_a_row_gets_such_an_id_without_being_asked(owner: Connection) -> None:
    id = await owner.fetchval("insert into public.brands (slug, name) values ('b', 'B') returning id")
    assert UUID(bytes=id.bytes).version == 7
