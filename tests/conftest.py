"""Fixtures: a real embedded Postgres per test run, a migrated template database, a clone of it per test that writes.

owner        connection of the schema's owner to a fresh, empty database (reference data only)
database     the API's log-in to the same database
shop         a fresh database with a small catalogue, served in this process: `shop.client()` speaks GraphQL to it
"""

from __future__ import annotations

import asyncio
import os
import secrets as random_secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import pytest

import settings as settings_module
from db import migrations, secrets
from db.embedded import Dsns, EmbeddedServer
from db.pool import Database
from resolvers.services import Services
from server import create_app
from settings import Settings
from tests.catalogue import fill_catalogue
from tests.client import Client

TEMPLATE = "aclue"
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def to_database(dsn: str, name: str) -> str:
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(path=f"/{name}"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets beside the repository; tests that need it skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the folder of real data sets (../shared/data) is not here")
    return SHARED_DATA


@pytest.fixture(scope="session")
def server() -> Iterator[Dsns]:
    """A Postgres of this worker's own, with a migrated template database. It does not wait for the disk."""
    with tempfile.TemporaryDirectory(prefix="aclue-test-") as folder:
        Path(folder).chmod(0o755)
        home = Path(folder)
        with EmbeddedServer(home, secrets.load_or_create(home)) as dsns:
            asyncio.run(_make_template(dsns))
            yield dsns


async def _make_template(dsns: Dsns) -> None:
    assert dsns.superuser and dsns.owner
    superuser = await asyncpg.connect(dsns.superuser)
    for name, value in (("fsync", "off"), ("synchronous_commit", "off"), ("full_page_writes", "off")):
        await superuser.execute(f"alter system set {name} = {value}")
    await superuser.execute("select pg_reload_conf()")
    owner = await asyncpg.connect(dsns.owner)
    await migrations.migrate(owner)
    await migrations.ensure_api_login(owner, dsns.api)
    await owner.close()
    await superuser.close()


@pytest.fixture
async def dsns(server: Dsns) -> AsyncIterator[Dsns]:
    """Log-ins to a database of this test's own."""
    assert server.superuser and server.owner
    name = f"test_{random_secrets.token_hex(6)}"
    superuser = await asyncpg.connect(to_database(server.superuser, "postgres"))
    await superuser.execute(f"create database {name} template {TEMPLATE} strategy file_copy owner aclue_owner")
    yield Dsns(*(to_database(dsn, name) for dsn in (server.api, server.owner, server.superuser)))
    await superuser.execute(f"drop database {name} with (force)")
    await superuser.close()


@pytest.fixture
async def owner(dsns: Dsns) -> AsyncIterator[asyncpg.Connection[Any]]:
    """The owner of the schema, whom row level security does not bind."""
    assert dsns.owner
    connection = await asyncpg.connect(dsns.owner)
    yield connection
    await connection.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_module.load({"ACLUE_HOME": str(tmp_path), "DATABASE_POOL_SIZE": "8", "DATABASE_MAX_OVERFLOW": "8"})


@pytest.fixture
async def database(dsns: Dsns, settings: Settings) -> AsyncIterator[Database]:
    """The API's log-in: sessions under claims."""
    opened = await Database.connect(dsns.api, settings)
    yield opened
    await opened.close()


SECRET = "a secret of the tests, long enough for HS256"


@dataclass
class Shop:
    """The whole service in this process, on a database of its own with a small catalogue (tests/catalogue.py)."""

    services: Services
    owner: asyncpg.Connection[Any]
    dsns: Dsns
    http: httpx.AsyncClient

    def client(self, token: str | None = None) -> Client:
        """A caller, with or without a token."""
        return Client(self.http, token)

    async def anonymous(self) -> Client:
        """A caller with an anonymous session of its own."""
        return await self.client().start_session()

    async def account(self, email: str = "", password: str = "correct horse") -> Client:
        """A caller with an account of its own."""
        return await self.client().sign_up(email or f"{random_secrets.token_hex(6)}@people.example", password)

    def token(self, subject: Any, **claims: Any) -> str:
        """An access token of our own making; see Tokens.issue."""
        return self.services.tokens.issue(subject, **claims)[0]


@pytest.fixture
async def shop(dsns: Dsns, owner: asyncpg.Connection[Any], settings: Settings) -> AsyncIterator[Shop]:
    await fill_catalogue(owner)
    app = create_app(settings, dsns.api, SECRET)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
            yield Shop(app.state.services, owner, dsns, http)


os.environ.pop("DATABASE_URL", None)  # tests bring their own server
