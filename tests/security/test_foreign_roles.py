"""Roles outside the list of three: through a log-in of theirs, through SET ROLE, through claims. (Tokens that name one
are in test_graphql_matrix.py and test_tokens.py.)"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from db import claims as claims_module
from db.claims import Claims
from db.embedded import Dsns
from db.migrations import ensure_worker_login
from tests.bases import Base
from tests.security.canaries import ANNA, SERVICE, become
from tests.security.test_row_level_security import EXPECTED

OURS = {"anon", "authenticated", "service_role"}
VERBS = ("table {}", "insert into {} default values", "delete from {}", "truncate {} cascade", "lock table {}")


def logged_in_as(dsn: str, name: str, password: str) -> str:
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(netloc=f"{name}:{password}@{parts.hostname or ''}"))


@pytest.fixture
async def strangers(base: Base, dsns: Dsns) -> AsyncIterator[list[asyncpg.Connection[Any]]]:
    """A log-in that is a member of nothing; on Supabase its reserved log-ins too, which are none of ours."""
    assert dsns.superuser
    superuser = await asyncpg.connect(dsns.superuser)
    name, password = f"stranger_{secrets.token_hex(4)}", secrets.token_hex(8)
    await superuser.execute(f"create role {name} login password '{password}'")
    log_ins = [logged_in_as(dsns.superuser, name, password)]
    if base.is_supabase:  # one password for all of them there
        shared = urlsplit(dsns.superuser).password or ""
        reserved = ("authenticator", "supabase_auth_admin", "supabase_storage_admin")
        log_ins += [logged_in_as(dsns.superuser, role, shared) for role in reserved]
    connections = [await asyncpg.connect(log_in) for log_in in log_ins]
    yield connections
    for connection in connections:
        await connection.close()
    await superuser.execute(f"drop role {name}")
    await superuser.close()


async def reached(connection: asyncpg.Connection[Any], statements: list[str]) -> list[str]:
    """Those of the statements that are not refused for want of a privilege."""
    found = []
    for statement in statements:
        transaction = connection.transaction()
        await transaction.start()
        try:
            await become_nobody(connection)
            await connection.execute(statement)
            found.append(statement)
        except asyncpg.InsufficientPrivilegeError:
            pass
        finally:
            await transaction.rollback()
    return found


async def become_nobody(connection: asyncpg.Connection[Any]) -> None:
    """Anna's claims, and the role of the log-in itself."""
    await connection.execute("select set_config('request.jwt.claims', $1, true)", ANNA.claims)


async def test_a_foreign_log_in_reaches_no_table(
    canaries: asyncpg.Connection[Any], strangers: list[asyncpg.Connection[Any]]
) -> None:
    private = [row[0] for row in await canaries.fetch("select tablename from pg_tables where schemaname = 'private'")]
    assert private
    tables = [*(f"public.{table}" for table in EXPECTED), *(f"private.{table}" for table in private)]
    for connection in strangers:
        assert await reached(connection, [verb.format(table) for table in tables for verb in VERBS]) == []
        assert await reached(connection, ["select 1"]) == ["select 1"]


async def test_a_foreign_log_in_calls_no_function_of_ours(
    canaries: asyncpg.Connection[Any], strangers: list[asyncpg.Connection[Any]]
) -> None:
    callable_by = (
        "select oid::regprocedure::text from pg_proc"
        " where pronamespace in ('private'::regnamespace, 'public'::regnamespace)"
        " and has_schema_privilege($1, pronamespace, 'usage') and has_function_privilege($1, oid, 'execute')"
    )
    assert len(await canaries.fetch(callable_by, "service_role")) > 20
    for connection in strangers:
        user = await connection.fetchval("select current_user")
        assert [row[0] for row in await canaries.fetch(callable_by, user)] == []


async def test_a_foreign_log_in_becomes_none_of_ours(strangers: list[asyncpg.Connection[Any]], base: Base) -> None:
    may = {"authenticator", "supabase_storage_admin"}  # Supabase's data API, and who may become it: under our policies
    for connection in strangers:
        user = await connection.fetchval("select current_user")
        roles = sorted(OURS if user not in may else {"aclue_api", base.owner})
        assert await reached(connection, [f"set local role {role}" for role in roles]) == []


async def test_the_api_becomes_nobody_but_the_three(
    owner: asyncpg.Connection[Any], dsns: Dsns, login: asyncpg.Connection[Any]
) -> None:
    # Roles are the cluster's: a server without a log-in for jobs, of another test, has let the API's run them.
    await ensure_worker_login(owner, dsns.api, dsns.worker)
    own = {"aclue_api", *OURS}
    others = {row[0] for row in await login.fetch("select rolname from pg_roles")} - own
    assert {"postgres", "pg_read_all_data", "pg_write_all_data"} < others
    statements = [
        statement.format(role)
        for role in others
        for statement in (
            'set local role "{}"',
            "select set_config('role', '{}', true)",
            'set session authorization "{}"',
        )
    ]
    assert await reached(login, statements) == []
    assert len(await reached(login, [f"set local role {role}" for role in own])) == len(own)


async def test_becoming_one_of_the_three_leads_no_further(login: asyncpg.Connection[Any], base: Base) -> None:
    """SET ROLE is judged by who logged in, so service_role opens no door to the owner."""
    async with login.transaction():
        await become(login, SERVICE)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await login.execute(f"set local role {base.owner}")


@pytest.mark.parametrize(
    "role", ["postgres", "aclue_owner", "authenticator", "supabase_admin", "none", "", "ANON", "anon\0"]
)
async def test_claims_of_a_foreign_role_are_refused_twice(login: asyncpg.Connection[Any], role: str) -> None:
    """By Claims; and where somebody got past it, by Postgres (none is the log-in itself, which reads nothing)."""
    with pytest.raises(ValueError, match="is not one of"):
        Claims(role=role)
    forced = Claims()
    object.__setattr__(forced, "role", role)

    async def read() -> None:
        async with login.transaction():
            await claims_module.apply(login, forced, 1000)
            await login.fetch("select id from public.profiles")

    with pytest.raises(asyncpg.PostgresError):
        await read()
