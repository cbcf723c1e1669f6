"""Every block of sql/queries is understood by the migrated schema."""

from __future__ import annotations

from typing import Any

import asyncpg

from db.documentation import is_statement, statement_of
from db.queries import QUERIES, Query
from db.verification.distribution import make_temporary_tables


async def refused(connection: asyncpg.Connection[Any], queries: list[Query]) -> dict[str, str]:
    """{block: why Postgres does not take it}."""
    found = {}
    for query in queries:
        try:
            async with connection.transaction():
                await connection.prepare(statement_of(query))
        except asyncpg.PostgresError as error:
            found[query.name] = str(error)
    return found


async def test_every_statement_is_understood(owner: asyncpg.Connection[Any]) -> None:
    statements = [query for query in QUERIES.values() if is_statement(query)]
    assert len(statements) > 50
    async with owner.transaction():  # temporary tables of seeds end with it
        await make_temporary_tables(owner)
        assert await refused(owner, statements) == {}


async def test_every_condition_is_understood(owner: asyncpg.Connection[Any]) -> None:
    conditions = [query for query in QUERIES.values() if not is_statement(query)]
    assert len(conditions) > 10
    assert await refused(owner, conditions) == {}


async def test_a_condition_is_boolean(owner: asyncpg.Connection[Any]) -> None:
    for query in QUERIES.values():
        if not is_statement(query):
            prepared = await owner.prepare(statement_of(query).replace("select from", "select true from"))
            assert [attribute.type.name for attribute in prepared.get_attributes()] == ["bool"], query.name


async def test_a_block_with_a_mistake_would_be_found(owner: asyncpg.Connection[Any]) -> None:
    mistaken = Query("products.mistaken", "select no_such_column from public.products", (), "")
    assert await refused(owner, [mistaken]) == {"products.mistaken": 'column "no_such_column" does not exist'}
