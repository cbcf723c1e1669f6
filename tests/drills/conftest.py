"""A Postgres of each drill's own, as it is stopped and killed, and the service on it in this process."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Protocol

import httpx
import pytest

import settings as settings_module
from db import embedded, programs
from db.embedded import Dsns
from server import create_app
from services.services import Services
from tests import bases
from tests.bases import Base
from tests.bases.clusters import Cluster
from tests.conftest import SECRET

SUPERUSER = "postgres"


@pytest.fixture(scope="session")
def original() -> Iterator[Cluster]:
    """A server with the catalogue, stopped: what drills run on are copies of it."""
    with tempfile.TemporaryDirectory(prefix="aclue-drill-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with Cluster(programs.embedded(), folder, superuser=SUPERUSER) as cluster:
            cluster.run(f"create role {embedded.OWNER} login createrole password '{cluster.password}'")
            base = Base(cluster.dsns(owner=embedded.OWNER))
            asyncio.run(bases.make_templates(base))
            base.databases.close()
            cluster.run("alter system set synchronous_commit = on")
            cluster.stop()
        yield cluster


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the user who runs Postgres may enter."""
    with tempfile.TemporaryDirectory(prefix="aclue-drill-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def cluster(original: Cluster, folder: Path) -> Iterator[Cluster]:
    """A running server with the catalogue."""
    with original.copied(folder) as copy:
        yield copy


@pytest.fixture
def dsns(cluster: Cluster) -> Dsns:
    return dsns_of(cluster)


def dsns_of(cluster: Cluster) -> Dsns:
    return cluster.dsns(embedded.OWNER, bases.FILLED)


class Tell(Protocol):
    """Notes how many seconds something took, for the end of the run (tests/conftest.py)."""

    def __call__(self, seconds: float, what: str = "recovered") -> None: ...


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    def noted(seconds: float, what: str = "recovered") -> None:
        record_property(what, f"{seconds:.2f} s")

    return noted


@contextlib.asynccontextmanager
async def served(dsn: str, folder: Path, **variables: str) -> AsyncIterator[tuple[httpx.AsyncClient, Services]]:
    """The service on this database, with the settings of an installation unless given otherwise."""
    settings = settings_module.load({"ACLUE_HOME": str(folder), **variables})
    app = create_app(settings, dsn, SECRET, background=())
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop", timeout=None) as http:
            yield http, app.state.services
