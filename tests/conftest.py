"""Fixtures: a real Postgres per worker (embedded, or another base: tests/bases), and a clone of a migrated template
database per test that writes.

base         the server and its particularities
owner        connection of the schema's owner to a fresh, empty database (reference data only)
database     the API's log-in to the same database
shop         a fresh database with a small catalogue, served in this process: `shop.client()` speaks GraphQL to it
mailbox      a mail server; `await mailbox.collect(shop.services)` delivers the outbox to it
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.util
import os
import secrets as random_secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import argon2.profiles
import asyncpg
import httpx
import pytest
import structlog
from xdist.scheduler import LoadGroupScheduling

import settings as settings_module
from commands.terminal import plain_exceptions
from db.database import Database
from db.embedded import Dsns
from domain import ids
from engine import documents
from engine.engine import Engine
from server import create_app
from services import passwords
from services.services import Services
from settings import ClaimsMode, Settings
from tests import bases, known_documents
from tests.bases import Base, to_database
from tests.bases.accounts import add_user
from tests.client import Client
from tests.mailbox import Mailbox, mail_server

SLOW = (
    "tests/security/test_claims.py::test_thousands",
    "tests/security/test_schemathesis.py",
    "tests/e2e/",
    "tests/integration/test_embedded.py",
    "tests/integration/test_search.py",
    "tests/integration/test_product_imports.py",
    "tests/differential/",
    "tests/drills/",
)
# Their fixtures take longer than their tests, so one worker runs the whole file. (With pytest 9.2, pytest-xdist 3.8
# ignores the mark `xdist_group`.)
TOGETHER = {
    "tests/e2e/test_backups.py",
    "tests/e2e/test_prometheus.py",
    "tests/e2e/test_serve.py",
    "tests/integration/test_documentation.py",
    "tests/drills/test_network.py",
    "tests/drills/test_postgres.py",
    "tests/drills/test_processes.py",
    "tests/drills/test_replicas.py",
}
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets beside the repository; tests that need it skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the folder of real data sets (../shared/data) does not exist")
    return SHARED_DATA


def pytest_configure(config: pytest.Config) -> None:
    """A folder for what all workers of this run share; they inherit its name."""
    if hasattr(config, "workerinput"):
        return
    folder = tempfile.TemporaryDirectory(prefix="aclue-run-")
    Path(folder.name).chmod(0o755)
    os.environ["ACLUE_TEST_RUN"] = folder.name
    config.add_cleanup(folder.cleanup)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs slow tests first: at the end, one worker would run them while the others are idle."""
    items.sort(key=lambda item: not item.nodeid.startswith(SLOW))


def pytest_collection_finish() -> None:
    """Spares full collections of garbage the modules and the tests, which live to the end: as the server does."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Repeats drills, as `make drill` does: whether a fault is survived depends on when it occurs."""
    times = int(os.environ.get("REPEAT") or 1)
    if times > 1 and metafunc.definition.get_closest_marker("drill"):
        metafunc.fixturenames.append("repetition")
        metafunc.parametrize("repetition", range(times), ids=lambda number: f"time {number + 1}")


class FilesTogether(LoadGroupScheduling):
    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if file in TOGETHER else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FilesTogether | None:
    return FilesTogether(config, log) if config.getvalue("dist") == "loadgroup" else None


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than there are cores, as tests spend about a third of their time waiting for Postgres and processes."""
    return (os.cpu_count() or 1) + 1


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How long the service took to recover, of the drills that say so."""
    passed = terminalreporter.stats.get("passed", [])
    lines = [(report.nodeid, name, value) for report in passed for name, value in report.user_properties]
    for nodeid, name, value in sorted(lines):
        terminalreporter.write_line(f"{name} in {value}: {nodeid}")


def pytest_report_header() -> str:
    return f"base: {bases.chosen()}"


@pytest.fixture(scope="session")
def base() -> Iterator[Base]:
    """The Postgres of this worker, with a blank and a migrated template database."""
    with bases.started() as started:
        asyncio.run(bases.make_templates(started))
        yield started


@pytest.fixture(scope="session")
def server(base: Base) -> Dsns:
    """Log-ins to the server."""
    return base.dsns


@pytest.fixture
def database_template(request: pytest.FixtureRequest) -> str:
    """What the test's own database is a copy of; it has the catalogue if the test uses `shop`."""
    return bases.FILLED if "shop" in request.fixturenames else bases.TEMPLATE


@pytest.fixture
async def dsns(base: Base, database_template: str) -> AsyncIterator[Dsns]:
    """Log-ins to this test's own database."""
    async with cloned(base, database_template) as dsns:
        yield dsns


@contextlib.asynccontextmanager
async def cloned(base: Base, template: str) -> AsyncIterator[Dsns]:
    """Log-ins to a copy of this database for the duration of the block."""
    server = base.dsns
    assert server.superuser and server.owner and server.worker
    lent = await base.databases.lend(template, base.owner)
    yield Dsns(*(to_database(dsn, lent.name) for dsn in (server.api, server.owner, server.superuser, server.worker)))
    await base.databases.take_back(lent)


@pytest.fixture
def own_accounts(base: Base) -> None:
    """For tests of accounts that this service manages itself: password, refresh token, second factor."""
    if not base.accounts_are_ours:
        pytest.skip("accounts are managed by Supabase")


@pytest.fixture
async def owner(dsns: Dsns) -> AsyncIterator[asyncpg.Connection[Any]]:
    """The owner of the schema, who bypasses row level security."""
    assert dsns.owner
    connection = await asyncpg.connect(dsns.owner)
    yield connection
    await connection.close()


@pytest.fixture
async def superuser(dsns: Dsns) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A superuser, who sees all connections."""
    assert dsns.superuser
    connection = await asyncpg.connect(dsns.superuser)
    yield connection
    await connection.close()


# For a module's `pytestmark`: sessions behave the same in both modes.
IN_BOTH_CLAIMS_MODES = pytest.mark.parametrize("claims_mode", list(ClaimsMode), ids=lambda mode: mode.value)


@pytest.fixture
def claims_mode() -> ClaimsMode:
    return ClaimsMode.PIPELINED


@pytest.fixture
def settings(tmp_path: Path, claims_mode: ClaimsMode, request: pytest.FixtureRequest) -> Settings:
    given = {"ACLUE_HOME": str(tmp_path), "DATABASE_POOL_SIZE": "8", "DATABASE_MAX_OVERFLOW": "24"}
    given |= {"CLAIMS_MODE": claims_mode.value, "EXPLORATION": "off", "DATABASE_RETRY_DELAY": "0.02"}
    given |= {"PUBLIC_CACHE_BYTES": "0"}  # tests write behind the service's back, and read at once
    if bases.chosen() == "pgbouncer":
        pooled = request.getfixturevalue("dsns").api
        direct = to_database(request.getfixturevalue("base").direct, urlsplit(pooled).path[1:])
        given |= {"CLAIMS_MODE": "transaction", "PREPARED_STATEMENTS": "false"}
        given |= {"DATABASE_URL": pooled, "LISTEN_DATABASE_URL": direct}
        given |= {"DATABASE_RETRY_DELAY": "0.5"}  # PgBouncer itself tries again once a second
    return settings_module.load({**given, "MAIL_INTERVAL": "3600"})  # tests send mails themselves


@pytest.fixture
async def database(dsns: Dsns, settings: Settings) -> AsyncIterator[Database]:
    """A Database with the API's log-in."""
    opened = await Database.connect(dsns.api, settings)
    yield opened
    await opened.close()


SECRET = "a secret of the tests, long enough for HS256"


@dataclass
class Shop:
    """The whole service in this process, on its own database with a small catalogue (tests/catalogue.py)."""

    services: Services
    owner: asyncpg.Connection[Any]
    dsns: Dsns
    http: httpx.AsyncClient
    base: Base
    engine: Engine

    def client(self, token: str | None = None) -> Client:
        """A client, with or without a token."""
        return Client(self.http, token)

    async def anonymous(self) -> Client:
        """A client with a new anonymous session."""
        return await self.client().start_session()

    async def account(self, email: str = "", password: str = "correct horse") -> Client:
        """A client with a new account; on Supabase one that its sign-in service has created."""
        email = email or f"{random_secrets.token_hex(6)}@people.example"
        if not self.base.accounts_are_ours:
            assert self.dsns.superuser
            user = await add_user(self.base, self.dsns.superuser, email.lower())
            return self.client(
                self.token(user, email=email.lower(), amr=[{"method": "password", "timestamp": int(time.time())}])
            )
        return await self.client().sign_up(email, password)

    async def verified_account(self, email: str = "", password: str = "correct horse") -> Client:
        """A client with a new account whose e-mail is verified."""
        client = await self.account(email, password)
        await self.confirm(client)
        return client

    async def confirm(self, client: Client) -> None:
        """Verifies the e-mail of a signed-in client, as verifyEmail does."""
        subject = ids.decode_as("Profile", await client.my_id())
        await self.owner.execute("update auth.users set email_confirmed_at = now() where id = $1", subject)

    def token(self, subject: Any, **claims: Any) -> str:
        """Issues an access token; see Tokens.issue."""
        return self.services.tokens.issue(subject, **claims)[0]


@pytest.fixture
async def shop(dsns: Dsns, owner: asyncpg.Connection[Any], settings: Settings, base: Base) -> AsyncIterator[Shop]:
    # No background jobs: they would interfere with what tests assert. Tests run the jobs they need.
    app = create_app(settings, dsns.api, SECRET, background=())
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
            yield Shop(app.state.services, owner, dsns, http, base, app.state.engine)


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with mail_server() as box:
        yield box


gc.disable()  # until everything is collected, of which hardly anything is garbage
if importlib.util.find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # type: ignore[assignment]  # httpx would look for it in all folders at each request
structlog.configure(processors=plain_exceptions())
passwords.PARAMETERS = argon2.profiles.CHEAPEST  # tests/unit/test_passwords.py holds what a server hashes with
documents.parse, documents.validate = known_documents.parse, known_documents.validate
os.environ.pop("DATABASE_URL", None)  # tests bring their own server
