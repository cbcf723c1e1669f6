"""docs/schema.md says what the database says, and no index is without a use."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from db import documentation
from db.documentation import LabelledSql, TableDocs
from schema.schema import row_types
from tests.bases import TEMPLATE, Base, ensure_template
from tests.conftest import cloned

PAGE = Path(__file__).resolve().parents[2] / "docs" / "schema.md"


@pytest.fixture
async def owner(base: Base) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Of a database with made-up rows."""
    if base.is_supabase:
        pytest.skip("the page describes an installation that keeps its accounts itself")
    template = await ensure_template(base, "aclue_documented", TEMPLATE, documentation.fill)
    async with cloned(base, template) as dsns:
        connection = await asyncpg.connect(dsns.owner)
        if connection.get_server_version().major < 18:
            pytest.skip("plans of statements with parameters can be asked for from PostgreSQL 18 on")
        yield connection
        await connection.close()


@pytest.fixture(scope="module")
def known() -> list[TableDocs]:
    """What was found in a copy of that database, for the tests after the first."""
    return []


@pytest.fixture
async def examined(owner: asyncpg.Connection[Any], known: list[TableDocs]) -> list[TableDocs]:
    if not known:
        known += await documentation.examine(owner, row_types())
    return known


def unused(tables: list[TableDocs]) -> list[str]:
    return [index.name for table in tables for index in table.indexes if not index.constraint and not index.users]


def uses(page: str) -> dict[str, set[str]]:
    """What the page says of each index that no constraint needs."""
    rows = re.findall(r"^\| (\w+) \| .*? \| (.*) \|$", page.partition("\n## ")[2], re.MULTILINE)
    return {name: set(used.split(", ")) for name, used in rows if name.endswith("_idx")}


def without_uses(page: str) -> str:
    """Of two indexes that begin alike Postgres takes now one, now the other."""
    return re.sub(r"^(\| \w+_(?:idx|key|pkey|profile|personality) \| .*?) \| .* \|$", r"\1 |", page, flags=re.MULTILINE)


async def test_the_page_is_what_the_database_says(examined: list[TableDocs], owner: asyncpg.Connection[Any]) -> None:
    written, found = PAGE.read_text(), await documentation.describe(owner, row_types())
    assert without_uses(written) == without_uses(found), "stale: run `make schema`"
    assert [name for name, used in uses(written).items() if not used & uses(found)[name]] == []
    assert len(uses(written)) > 60


async def test_every_index_serves_a_statement(examined: list[TableDocs]) -> None:
    assert unused(examined) == []
    assert sum(len(table.indexes) for table in examined) > 45


async def test_an_index_without_a_use_is_found(examined: list[TableDocs], owner: asyncpg.Connection[Any]) -> None:
    await owner.execute("create index useless_idx on public.profiles (display_name)")
    assert unused(await documentation.examine(owner, row_types())) == ["useless_idx"]


async def test_the_plans_are_those_of_the_statements(owner: asyncpg.Connection[Any], examined: list[TableDocs]) -> None:
    asked = [LabelledSql("one", "select 1 from public.product_signals where user_id = $1 and product_id = $2")]
    await owner.execute("set enable_seqscan = off")
    assert await documentation.explain(owner, asked) == {"product_signals_pkey": ["one"]}


async def test_every_table_has_somebody_who_writes_it_and_somebody_who_reads_it(
    examined: list[TableDocs],
) -> None:
    assert len(examined) > 27
    for kind, verbs in (("writers", {"insert", "update"}), ("readers", {"select"})):
        orphans = [
            table.name
            for table in examined
            if not getattr(table, kind) and not any(verbs & set(granted) for granted in table.granted.values())
        ]
        # The runner's own, and what is read as it is written.
        assert set(orphans) <= {
            "private.api_log_ins",
            "private.applied_files",
            "private.auth_attempts",
            "private.one_time_tokens",
            "private.recovery_codes",
            "private.storage_use",
        }, kind


async def test_who_writes_and_reads_is_found_in_the_statements(examined: list[TableDocs]) -> None:
    by_name = {table.name: table for table in examined}
    swipes = by_name["public.swipes"]
    assert {"`swipes.record`", "`swipes.undo`", "`private.merge_session()`"} <= swipes.writers
    assert {"`private.signals()`", "type `Swipe`"} <= swipes.readers
    assert "`swipes.sync_signals`" not in by_name["public.product_signals"].writers
    assert "`private.sync_signals()`" in by_name["public.product_signals"].writers
    assert "`private.trusted_signals`" in by_name["public.product_signals"].readers
