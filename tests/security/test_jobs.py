"""The log-in that runs jobs, and its role job_worker: exactly the rights that they need."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, TypeAlias
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from db.claims import Claims
from db.embedded import API, WORKER, Dsns
from db.migrations import MigrationError, ensure_api_login, ensure_worker_login
from services import jobs
from settings import SettingsError
from tests.conftest import Shop

Connection: TypeAlias = "asyncpg.Connection[Any]"

RIGHTS = {
    "jobs.pgqueuer": {"SELECT", "UPDATE", "DELETE"},
    "jobs.pgqueuer_log": {"SELECT", "INSERT", "DELETE"},
    "jobs.pgqueuer_schedules": {"SELECT", "INSERT", "UPDATE", "DELETE"},
}
MAY_CALL = {
    "enqueue_job",
    "job_counts",
    "purge_anonymous",
    "purge_attempts",
    "purge_audit_log",
    "purge_import_changes",
    "purge_keys",
    "purge_partitioned",
    "purge_redirects",
    "purge_sessions",
    "purge_system_logs",
    "purge_visits",
}


@pytest.fixture
async def login(dsns: Dsns) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(dsns.worker)
    yield connection
    await connection.close()


async def members(owner: Connection, name: str) -> set[str]:
    rows = await owner.fetch("select roleid::regrole::text from pg_auth_members where member = to_regrole($1)", name)
    return {row[0] for row in rows}


async def test_the_log_in_has_no_powers_and_may_become_two_roles(owner: Connection, login: Connection) -> None:
    role = await owner.fetchrow("select * from pg_roles where rolname = $1", WORKER)
    powers = ("rolsuper", "rolbypassrls", "rolinherit", "rolcreaterole", "rolcreatedb", "rolreplication")
    assert {power for power in powers if role[power]} == set()
    assert await members(owner, WORKER) == {"job_worker", "service_role"}
    for other in ("anon", "authenticated", API, await owner.fetchval("select current_user")):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await login.execute(f'set role "{other}"')


async def test_the_log_in_itself_reads_nothing(login: Connection) -> None:
    for table in ("public.products", "public.profiles", *RIGHTS):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await login.execute(f"select from {table}")


async def test_the_role_has_no_right_to_any_table_but_the_queue(owner: Connection) -> None:
    rows = await owner.fetch(
        """
        select c.oid::regclass::text as name, verb
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) verb
        where c.relkind in ('r', 'p', 'v', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
          and (has_table_privilege('job_worker', c.oid, verb) or verb in ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
            and has_any_column_privilege('job_worker', c.oid, verb))
        """
    )
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row["name"], set()).add(row["verb"])
    assert found == RIGHTS


async def test_the_role_may_call_no_function_but_retention_and_the_queue(owner: Connection) -> None:
    rows = await owner.fetch(
        "select p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace"
        " where n.nspname in ('public', 'private', 'jobs') and has_function_privilege('job_worker', p.oid, 'EXECUTE')"
        " and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')"
    )
    assert {row[0] for row in rows} == MAY_CALL


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
async def test_other_roles_reach_nothing_of_the_queue(dsns: Dsns, role: str) -> None:
    api = await asyncpg.connect(dsns.api)
    await api.execute(f"set role {role}")
    for table in RIGHTS:
        for statement in (f"select from {table}", f"delete from {table}", f"insert into {table} default values"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await api.execute(statement)
    await api.close()


async def test_the_servers_log_in_does_not_run_jobs_where_another_does(owner: Connection, dsns: Dsns) -> None:
    await ensure_worker_login(owner, dsns.api, dsns.worker)
    assert "job_worker" not in await members(owner, API)
    api = await asyncpg.connect(dsns.api)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await api.execute("set role job_worker")
    await api.close()


async def test_the_servers_log_in_runs_jobs_only_as_long_as_no_other_does(owner: Connection, dsns: Dsns) -> None:
    """With a log-in of its own: roles are the cluster's, and other tests use the server's meanwhile."""
    name = f"aclue_api_{uuid4().hex[:8]}"
    dsn = urlsplit(dsns.api)._replace(netloc=f"{name}:secret@").geturl()
    try:
        await ensure_api_login(owner, dsn)
        await ensure_worker_login(owner, dsn, None)
        assert "job_worker" in await members(owner, name)
        await ensure_worker_login(owner, dsn, dsns.worker)
        assert "job_worker" not in await members(owner, name)
    finally:
        await owner.execute(f"drop role {name}")


async def test_the_log_in_is_another_than_the_servers(owner: Connection, dsns: Dsns) -> None:
    with pytest.raises(MigrationError, match="WORKER_DATABASE_URL has the log-in of DATABASE_URL"):
        await ensure_worker_login(owner, dsns.api, dsns.api)


async def test_a_missing_log_in_is_created_harmless(owner: Connection, dsns: Dsns) -> None:
    parts = urlsplit(dsns.worker)
    dsn = parts._replace(netloc=f"aclue_worker_{uuid4().hex[:8]}:secret@").geturl()
    name = urlsplit(dsn).username or ""
    try:
        await ensure_worker_login(owner, dsns.api, dsn)
        await ensure_worker_login(owner, dsns.api, dsn)
        role = await owner.fetchrow("select * from pg_roles where rolname = $1", name)
        assert (role["rolcanlogin"], role["rolinherit"], role["rolcreaterole"]) == (True, False, False)
        assert await members(owner, name) == {"job_worker", "service_role"}
    finally:
        await owner.execute(f"drop role {name}")


async def test_no_retention_reaches_what_is_not_a_day_old(shop: Shop, login: Connection) -> None:
    """Whatever period is asked for: the settings are the server's, the bound is the database's."""
    person = await shop.owner.fetchval("insert into public.profiles (is_anonymous) values (true) returning id")
    for age in ("1 hour", "2 days"):
        await shop.owner.execute(
            "insert into public.idempotency_keys (user_id, operation, key, request_hash, result_id, created_at)"
            " values ($1, 'swipe', $2, '', gen_random_uuid(), now() - $2::text::interval)",
            person,
            age,
        )
        await shop.owner.execute(
            "insert into public.system_logs (level, component, message, created_at)"
            " values ('info', 'test', $1, now() - $1::text::interval)",
            age,
        )
        await shop.owner.execute(
            "insert into private.auth_attempts (bucket, window_start)"
            " values ($1::text::bytea, now() - $1::text::interval)",
            age,
        )
    await login.execute("set role job_worker")
    for days in (0, -1000):
        for kind in ("keys", "system_logs", "attempts", "visits", "sessions", "redirects", "anonymous"):
            await login.execute(f"select private.purge_{kind}($1, 1000)", days)
        for parent in ("product_views", "impressions", "analytics_events"):
            assert await login.fetchval("select private.purge_partitioned($1, $2, 1000)", parent, days) == 0
        with pytest.raises(asyncpg.InvalidParameterValueError):
            await login.execute("select private.purge_audit_log($1, 1000)", days)
    left = await shop.owner.fetch(
        "select key as age from public.idempotency_keys where user_id = $1"
        " union all select message from public.system_logs where component = 'test'"
        " union all select convert_from(bucket, 'utf8') from private.auth_attempts where bucket = any ($2::bytea[])",
        person,
        [b"1 hour", b"2 days"],
    )
    assert [row["age"] for row in left] == ["1 hour"] * 3
    assert await shop.owner.fetchval("select count(*) from public.profiles where id = $1", person) == 1


def test_no_token_names_the_role() -> None:
    with pytest.raises(ValueError, match="job_worker"):
        Claims.from_payload({"sub": str(uuid4()), "role": "job_worker", "exp": 0})


async def test_a_server_whose_log_in_may_not_run_jobs_says_so(shop: Shop) -> None:
    await ensure_worker_login(shop.owner, shop.dsns.api, shop.dsns.worker)
    with pytest.raises(SettingsError, match="WORKER_DATABASE_URL: aclue_api may not run jobs"):
        async with jobs.connected(shop.services, shop.dsns.api):
            pass
