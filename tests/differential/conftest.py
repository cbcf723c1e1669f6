"""One filled database per worker: filling it takes longer than asking a hundred documents."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

import settings as settings_module
from settings import Settings
from tests.bases import Base
from tests.differential.stage import Stage, staged


@pytest.fixture(scope="session")
def calm_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """As `settings`, for the whole run."""
    home: Path = tmp_path_factory.mktemp("differential")
    return settings_module.load({"ACLUE_HOME": str(home), "DATABASE_POOL_SIZE": "4", "MAIL_INTERVAL": "3600"})


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stage(base: Base, calm_settings: Settings) -> AsyncIterator[Stage]:
    """Both services on one database, for documents that read."""
    async with staged(base, calm_settings) as stage:
        yield stage


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stage_of_copies(base: Base, calm_settings: Settings) -> AsyncIterator[Stage]:
    """Each service on a copy of its own of one database, for documents that write to both alike."""
    async with staged(base, calm_settings, copies=True) as stage:
        yield stage
