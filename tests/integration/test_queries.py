"""Every block of sql/queries is understood by the migrated schema."""

from __future__ import annotations

import re
from typing import Any

import asyncpg

from db.queries import QUERIES, Query, compose

VERBS = ("select", "insert", "update", "delete", "with", "create", "drop", "analyze")
CONDITIONS_OF = {"recommendations": "public.products"}  # elsewhere the noun is the table


def is_statement(query: Query) -> bool:
    return query.text.split(maxsplit=1)[0].lower() in VERBS


def statement_of(query: Query) -> str:
    """The block as SQL that can be prepared: slots are true, a condition stands behind a `where`."""
    text = query.text
    if not is_statement(query):
        noun = query.name.split(".")[0]
        text = f"select from {CONDITIONS_OF.get(noun, f'public.{noun}')} r where {text}"
    slots = dict.fromkeys(re.findall(r"\{(\w+)\}", text), "true")
    sql, _ = compose(text, slots).statement(**dict.fromkeys(query.params))
    return sql


async def refused(connection: asyncpg.Connection[Any], queries: list[Query]) -> dict[str, str]:
    """{block: why Postgres does not take it}."""
    found = {}
    for query in queries:
        try:
            await connection.prepare(statement_of(query))
        except asyncpg.PostgresError as error:
            found[query.name] = str(error)
    return found


async def with_staging(connection: asyncpg.Connection[Any]) -> None:
    """The temporary tables that an import makes for its own statements."""
    await connection.execute(QUERIES["product_imports.create_staging"].sql)
    await connection.execute(QUERIES["product_imports.create_staging_view"].sql)


async def test_every_statement_is_understood(owner: asyncpg.Connection[Any]) -> None:
    await with_staging(owner)
    statements = [query for query in QUERIES.values() if is_statement(query)]
    assert len(statements) > 50
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
