"""Supabase's linter has nothing to say, but for what is listed with its reason."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from tests.security.lints import EXCEPTIONS, LINTS, Lint

EVERY_LINT = pytest.mark.parametrize("lint", LINTS, ids=lambda lint: lint.name)


async def findings(connection: asyncpg.Connection[Any], lint: Lint) -> set[str]:
    return {row[0] for row in await connection.fetch(lint.rule)}


@EVERY_LINT
async def test_the_database_is_clean(owner: asyncpg.Connection[Any], lint: Lint) -> None:
    assert await findings(owner, lint) == set(EXCEPTIONS.get(lint.name, ()))


@EVERY_LINT
async def test_a_planted_fault_is_found(superuser: asyncpg.Connection[Any], lint: Lint) -> None:
    before = await findings(superuser, lint)
    await superuser.execute(lint.fault)
    assert await findings(superuser, lint) - before == {lint.finding}


def test_exceptions_are_of_rules_that_there_are() -> None:
    assert set(EXCEPTIONS) <= {lint.name for lint in LINTS}
