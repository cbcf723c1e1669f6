"""Nobody takes back what the audit log says: not service_role, not with the setting the log's own functions use."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from tests.bases import Base
from tests.security.canaries import ADMIN, ANNA, SERVICE, Caller, become, person_id

STATEMENTS = (
    "update public.audit_log set changes = '{}'",
    "update public.audit_log set actor = null",
    "delete from public.audit_log",
    "truncate public.audit_log",
    "insert into public.audit_log (operation, table_name) values ('delete', 'public.profiles')",
)
TABLES = (
    "auth.mfa_factors", "auth.users", "public.affiliate_networks", "public.brands", "public.categories",
    "public.products", "public.profiles", "public.retailers", "public.user_sessions",
)  # fmt: skip


async def attempt(login: asyncpg.Connection[Any], caller: Caller, setting: str, statement: str) -> None:
    async with login.transaction():
        await become(login, caller)
        await login.execute("select set_config('aclue.audit_log', $1, true)", setting)
        await login.execute(statement)


async def test_every_covered_table_has_the_trigger(owner: asyncpg.Connection[Any], base: Base) -> None:
    covered = await owner.fetch(
        "select distinct tgrelid::regclass::text as name from pg_trigger"
        " where tgfoid = 'private.audit()'::regprocedure and tgenabled = 'O'"
    )
    tables = {table for table in TABLES if base.accounts_are_ours or not table.startswith("auth.")}
    assert tables <= {row["name"] if "." in row["name"] else f"public.{row['name']}" for row in covered}


@pytest.mark.parametrize("caller", [ANNA, ADMIN, SERVICE], ids=lambda caller: caller.label)
@pytest.mark.parametrize("setting", ["", "redact", "purge"])
async def test_nobody_writes_changes_or_empties_it_whatever_they_set(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any], caller: Caller, setting: str
) -> None:
    for statement in STATEMENTS:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await attempt(login, caller, setting, statement)


@pytest.mark.parametrize("setting", ["redact", "purge"])
async def test_a_grant_given_by_mistake_does_not_open_it(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any], setting: str
) -> None:
    """The trigger holds by itself: rights on the table and the setting are not the owner's rights."""
    await canaries.execute(
        "grant all on public.audit_log to service_role;"
        "create policy mistaken on public.audit_log for all to service_role using (true) with check (true)"
    )
    for statement in STATEMENTS[:-1]:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await attempt(login, SERVICE, setting, statement)


async def test_the_owner_too_is_held_back(canaries: asyncpg.Connection[Any]) -> None:
    for statement in STATEMENTS[:-1]:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await canaries.execute(statement)
    async with canaries.transaction():  # even as redaction may only take away
        await canaries.execute("set local aclue.audit_log = 'redact'")
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            async with canaries.transaction():
                await canaries.execute("update public.audit_log set operation = 'delete'")
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await canaries.execute('update public.audit_log set changes = \'{"name": {"old": 1}}\'')


async def test_only_the_owner_has_it_forget_and_only_what_is_old(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any]
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await attempt(login, SERVICE, "purge", "select private.purge_audit_log(90, 100)")
    for days in (0, 89, -1000):
        with pytest.raises(asyncpg.InvalidParameterValueError):
            await canaries.execute("select private.purge_audit_log($1, 100)", days)
    old = "insert into public.audit_log (id, operation, table_name) values (private.uuid_v7_floor($1), 'insert', 'x')"
    await canaries.execute(old, await canaries.fetchval("select now() - interval '91 days'"))
    before = await canaries.fetchval("select count(*) from public.audit_log")
    assert await canaries.fetchval("select private.purge_audit_log(90, 100)") == 1
    assert await canaries.fetchval("select count(*) from public.audit_log") == before - 1


async def test_deleting_a_person_takes_their_values_out_and_leaves_the_entries(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any]
) -> None:
    anna = person_id("anna")
    async with login.transaction():
        await become(login, ANNA)
        await login.execute("update public.profiles set display_name = 'Anna of the canaries'")
    async with login.transaction():  # Anna was an administrator once
        await login.execute(
            "select set_config('request.jwt.claims', $1, true), set_config('role', 'service_role', true)",
            f'{{"sub": "{anna}", "role": "service_role"}}',
        )
        await login.execute("update public.brands set name = 'By Anna'")
    entries = "select id, operation, table_name, at from public.audit_log order by id"
    before = await canaries.fetch(entries)
    assert await canaries.fetchval("select count(*) from public.audit_log where person_id = $1", anna) > 1

    await canaries.execute("delete from public.profiles where id = $1", anna)
    assert (await canaries.fetch(entries))[: len(before)] == before
    rows = [str(tuple(row)) for row in await canaries.fetch("select * from public.audit_log")]
    assert len(rows) > len(before), "the deletion itself"
    assert [row for row in rows if str(anna) in row or "canary-anna" in row or "Anna of the" in row] == []
    brand = await canaries.fetchrow("select * from public.audit_log where table_name = 'public.brands'")
    assert brand is not None
    assert (brand["actor"], "By Anna" in brand["changes"], brand["erased_at"] is None) == (None, True, False)
    assert await canaries.fetchval("select count(*) from public.audit_log where person_id = $1", person_id("ben")) > 0
