"""What `serve` says of a database in production, seen with the API's log-in."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import asyncpg
import pytest

from db import migrations, releases
from db.embedded import Dsns
from db.migrations import MigrationError, migrate
from tests.integration.test_migrations import LATER, add

Connection: TypeAlias = "asyncpg.Connection[Any]"


async def served(dsns: Dsns, folder: Path = migrations.SQL_FOLDER) -> list[str]:
    api = await asyncpg.connect(dsns.api)
    try:
        return await releases.differences(api, folder)
    finally:
        await api.close()


async def test_the_api_sees_a_database_that_fits(dsns: Dsns) -> None:
    assert await served(dsns) == []


async def test_the_api_refuses_a_database_that_lacks_a_migration(dsns: Dsns, sql: Path) -> None:
    name = add(sql, f"{LATER}_later.sql", "select 1;")
    with pytest.raises(
        MigrationError, match=rf"^the database is behind this code, it lacks {name}: run `aclue migrate`"
    ):
        await served(dsns, sql)


async def test_the_api_refuses_a_database_that_lacks_policies(dsns: Dsns, sql: Path) -> None:
    (sql / "policies" / "zzz.sql").write_text("-- Later.\n")
    with pytest.raises(MigrationError, match=r"^the database is behind this code, it lacks policies/zzz\.sql: run"):
        await served(dsns, sql)


async def test_the_api_serves_a_newer_database_and_says_so(dsns: Dsns, owner: Connection, sql: Path) -> None:
    name = add(sql, f"{LATER}_later.sql", "select 1;")
    file = sql / "policies" / "brands.sql"
    file.write_text(file.read_text() + "\n")
    await migrate(owner, folder=sql)
    assert await served(dsns) == [
        f"the database has {name}, which this code does not",
        "policies/brands.sql was applied in another form than this code's",
    ]


async def test_the_api_refuses_a_database_that_was_never_migrated(blank: str, dsns: Dsns) -> None:
    with pytest.raises(MigrationError, match=r"^the database is not migrated: run `aclue migrate`"):
        await served(Dsns(dsns.api.replace(urlsplit(dsns.api).path, urlsplit(blank).path, 1), None))
