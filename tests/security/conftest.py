"""Fixtures of the security tests: a database full of canaries, and the API's bare log-in to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest

from db.embedded import Dsns
from tests.bases import Base, ensure_template
from tests.e2e.conftest import service
from tests.security.canaries import plant
from tests.security.issuer import Issuer, publishing

__all__ = ["service"]


@pytest.fixture
async def database_template(base: Base, database_template: str, request: pytest.FixtureRequest) -> str:
    """With canaries, if the test uses them."""
    if "canaries" not in request.fixturenames:
        return database_template
    return await ensure_template(base, f"{database_template}_canaries", database_template, plant)


@pytest.fixture
def canaries(owner: asyncpg.Connection[Any]) -> asyncpg.Connection[Any]:
    """The schema's owner, in a database full of canaries."""
    return owner


@pytest.fixture
async def login(dsns: Dsns) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection as aclue_api logs in, with nothing set."""
    connection = await asyncpg.connect(dsns.api)
    yield connection
    await connection.close()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with publishing() as issuer:
        yield issuer
