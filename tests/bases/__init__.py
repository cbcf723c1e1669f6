"""What the tests run on: ACLUE_TEST_BASE=embedded (default), postgres15, supabase or pgbouncer.

embedded    the Postgres 18 of the wheel, as `make run` starts it
postgres15  Debian's PostgreSQL 15 (another folder of programs: ACLUE_TEST_POSTGRES15), the oldest that is supported
supabase    roles, grants and auth schema as a Supabase project has them (supabase.sql), on the Postgres of the wheel
pgbouncer   embedded, with the API's log-in through PgBouncer in transaction mode
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg

from db import embedded, instruments, migrations, programs, reference, secrets
from db.embedded import Dsns, EmbeddedServer
from db.programs import Programs
from tests.bases.clusters import Cluster
from tests.bases.databases import Databases
from tests.bases.poolers import PROGRAM, Pooler
from tests.catalogue import fill_catalogue

TEMPLATE = "aclue"  # migrated
FILLED = "aclue_filled"  # and with the catalogue of tests/catalogue.py
BLANK = "aclue_blank"  # as it is before the first migration
_POSTGRES15 = "/usr/lib/postgresql/15/bin"
_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Base:
    """A running server and what is particular about it."""

    dsns: Dsns
    owner: str = embedded.OWNER
    is_supabase: bool = False
    direct: str = ""  # the API's log-in past the pooler, where there is one
    templates: set[str] = field(default_factory=set, compare=False)  # those made by ensure_template

    @property
    def accounts_are_ours(self) -> bool:
        """Whether the auth schema is the small one of the foundation."""
        return not self.is_supabase

    @functools.cached_property
    def databases(self) -> Databases:
        assert self.dsns.superuser
        return Databases(to_database(self.dsns.superuser, "postgres"))

    @property
    def mighty_service(self) -> bool:
        """Whether service_role bypasses row level security, as it does on Supabase; grants bind it still."""
        return self.is_supabase


def to_database(dsn: str, name: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


def chosen() -> str:
    """The base that the environment names. Raises ValueError when there is no such base or it is not installed."""
    name = os.environ.get("ACLUE_TEST_BASE") or "embedded"
    if name not in _STARTS:
        raise ValueError(f"ACLUE_TEST_BASE: {name!r} is none of {', '.join(_STARTS)}")
    if name == "postgres15" and not (_postgres15() / "initdb").exists():
        raise ValueError(
            f"ACLUE_TEST_BASE: there is no PostgreSQL 15 in {_postgres15()} (apt-get install postgresql-15)"
        )
    if name == "pgbouncer" and not PROGRAM:
        raise ValueError("ACLUE_TEST_BASE: there is no pgbouncer (apt-get install pgbouncer)")
    return name


@contextlib.contextmanager
def started() -> Iterator[Base]:
    """The chosen base in a folder of its own, for the time of the block; not migrated yet."""
    with tempfile.TemporaryDirectory(prefix="aclue-test-") as folder:
        Path(folder).chmod(0o755)
        with _STARTS[chosen()](Path(folder)) as base:
            try:
                yield base
            finally:
                base.databases.close()


async def make_templates(base: Base) -> None:
    """A blank template, a migrated one and a filled one, of which tests clone theirs."""
    assert base.dsns.superuser and base.dsns.owner
    superuser = await asyncpg.connect(to_database(base.dsns.superuser, "postgres"))
    await _hurry(superuser)
    await superuser.execute(f"create database {BLANK}")
    if base.is_supabase:
        blank = await asyncpg.connect(to_database(base.dsns.superuser, BLANK))
        await blank.execute((_FOLDER / "supabase.sql").read_text())
        await blank.close()
    await superuser.execute(f"drop database if exists {TEMPLATE}")
    await superuser.execute(f"create database {TEMPLATE} template {BLANK} owner {base.owner}")
    await superuser.close()
    owner = await asyncpg.connect(to_database(base.dsns.owner, TEMPLATE))
    await migrations.migrate(owner)
    await reference.load(owner)
    await instruments.load_missing(owner)
    await migrations.ensure_api_login(owner, base.dsns.api)
    await migrations.ensure_worker_login(owner, base.dsns.api, base.dsns.worker)
    await owner.close()
    superuser = await asyncpg.connect(to_database(base.dsns.superuser, "postgres"))
    await _shorten_log_ins(superuser, base.dsns)
    await superuser.close()
    await ensure_template(base, FILLED, TEMPLATE, fill_catalogue)


async def ensure_template(
    base: Base, name: str, source: str, fill: Callable[[asyncpg.Connection[Any]], Awaitable[None]]
) -> str:
    """The name of a copy of a template that the owner of the schema has filled, once in the life of the server."""
    assert base.dsns.owner
    if name not in base.templates:
        await base.databases.copy(source, name, base.owner)
        owner = await asyncpg.connect(to_database(base.dsns.owner, name))
        await fill(owner)
        await owner.close()
        base.templates.add(name)
    return name


async def _hurry(superuser: asyncpg.Connection[Any]) -> None:
    """Stops the server waiting for the disk, and lets the kernel copy the files of databases."""
    settings = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    if await superuser.fetchval("select 'clone' = any (enumvals) from pg_settings where name = 'file_copy_method'"):
        settings["file_copy_method"] = "clone"
    for name, value in settings.items():
        await superuser.execute(f"alter system set {name} = {value}")
    await superuser.execute("select pg_reload_conf()")


async def _shorten_log_ins(superuser: asyncpg.Connection[Any], dsns: Dsns) -> None:
    """Hashes the passwords once instead of 4096 times, which the client repeats at each log-in: a test has about five.
    From PostgreSQL 16 on."""
    if await superuser.fetchval("select current_setting('scram_iterations', true)") is None:
        return
    await superuser.execute("set scram_iterations = 1")
    for dsn in (dsns.api, dsns.owner, dsns.superuser, dsns.worker):
        parts = urlsplit(dsn or "")
        statement = await superuser.fetchval(
            "select format('alter role %I password %L', $1::text, $2::text)",
            unquote(parts.username or ""),
            unquote(parts.password or ""),
        )
        await superuser.execute(statement)


async def _notice_lost_clients(dsns: Dsns) -> None:
    """As docs/claims.md says for poolers."""
    superuser = await asyncpg.connect(dsns.superuser)
    await superuser.execute("alter role aclue_api set client_connection_check_interval = '500ms'")
    await superuser.close()


@contextlib.contextmanager
def _embedded(folder: Path) -> Iterator[Base]:
    with EmbeddedServer(folder, secrets.load_or_create(folder), is_temporary=True) as dsns:
        yield Base(dsns)


@contextlib.contextmanager
def _pgbouncer(folder: Path) -> Iterator[Base]:
    (folder / "pooler").mkdir()
    with _embedded(folder) as base, Pooler(base.dsns.api, folder / "pooler") as pooler:
        asyncio.run(_notice_lost_clients(base.dsns))
        yield replace(base, dsns=replace(base.dsns, api=pooler.dsn), direct=base.dsns.api)


@contextlib.contextmanager
def _postgres_15(folder: Path) -> Iterator[Base]:
    with Cluster(Programs(_postgres15(), programs.system_account()), folder, superuser="postgres") as cluster:
        cluster.run(f"create role {embedded.OWNER} login createrole password '{cluster.password}'")
        yield Base(cluster.dsns(owner=embedded.OWNER))


@contextlib.contextmanager
def _supabase(folder: Path) -> Iterator[Base]:
    with Cluster(programs.embedded(), folder, superuser="supabase_admin") as cluster:
        cluster.run((_FOLDER / "supabase_roles.sql").read_text().replace(":password", f"'{cluster.password}'"))
        yield Base(cluster.dsns(owner="postgres"), owner="postgres", is_supabase=True)


def _postgres15() -> Path:
    return Path(os.environ.get("ACLUE_TEST_POSTGRES15") or _POSTGRES15)


_STARTS = {"embedded": _embedded, "postgres15": _postgres_15, "supabase": _supabase, "pgbouncer": _pgbouncer}
