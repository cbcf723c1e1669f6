"""Fixtures of the tests that migrate: a copy of sql/, and a database that was never migrated."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from db import migrations
from tests.bases import BLANK, Base
from tests.conftest import cloned


@pytest.fixture
def sql(tmp_path: Path) -> Path:
    """A copy of sql/ that a test may change."""
    return Path(shutil.copytree(migrations.SQL_FOLDER, tmp_path / "sql"))


@pytest.fixture
async def blank(base: Base) -> AsyncIterator[str]:
    """The owner's DSN of a database that was never migrated."""
    async with cloned(base, BLANK) as dsns:
        assert dsns.owner
        yield dsns.owner
