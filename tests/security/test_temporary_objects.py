"""Temporary objects hide nothing from functions that run with their owner's rights."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import asyncpg
import pytest

from db import migrations
from tests import bases
from tests.bases import Base
from tests.conftest import cloned
from tests.security.canaries import ANNA, VISITOR, Caller, become

TRAP = """
create temp table caught (who pg_catalog.text);
grant all on pg_temp.caught to public;
create function pg_temp.spring(found pg_catalog.text) returns pg_catalog.bool language plpgsql as $$
begin
  insert into pg_temp.caught values (current_user);
  return true;
end $$;
create domain pg_temp.jsonb as pg_catalog.jsonb check (pg_temp.spring(value::pg_catalog.text));
create domain pg_temp.text as pg_catalog.text check (pg_temp.spring(value::pg_catalog.text));
create domain pg_temp.uuid as pg_catalog.uuid check (pg_temp.spring(value::pg_catalog.text));
create domain pg_temp.timestamptz as pg_catalog.timestamptz check (pg_temp.spring(value::pg_catalog.text));
"""
DOORS = [
    "insert into public.consents (purpose, granted, policy_version) values ('analytics', true, '1')",
    "insert into public.privacy_requests (kind) values ('export')",
    "select private.sync_signals(null)",
    "select private.search_query('gift')",
    "select private.has_mfa(auth.uid())",
    "select private.mark_personality_due()",
]


@pytest.mark.parametrize("caller", [VISITOR, ANNA], ids=["anon", "authenticated"])
@pytest.mark.parametrize("statement", DOORS, ids=lambda sql: re.split(r"[ (]", sql, maxsplit=3)[-2])
async def test_a_temporary_type_is_not_taken_for_a_built_in_one(
    canaries: Any, login: asyncpg.Connection[Any], superuser: asyncpg.Connection[Any], statement: str, caller: Caller
) -> None:
    # A database made before nobody but its owner could make temporary objects.
    name, user = await login.fetchval("select current_database()"), await login.fetchval("select session_user")
    await superuser.execute(f'grant temporary on database "{name}" to public')
    async with login.transaction():
        await become(login, caller)
        await login.execute(TRAP)
        with contextlib.suppress(asyncpg.PostgresError):  # a refusal is right, too
            async with login.transaction():
                await login.execute(statement)
        caught = {row["who"] for row in await login.fetch("select who from pg_temp.caught")}
    assert caught <= {caller.role, user}


async def test_nobody_but_the_owner_makes_temporary_objects(base: Base) -> None:
    async with cloned(base, bases.BLANK) as dsns:
        assert dsns.owner
        owner = await asyncpg.connect(dsns.owner)
        await migrations.migrate(owner)
        for role in ("anon", "authenticated", "service_role"):
            assert not await owner.fetchval("select has_database_privilege($1, current_database(), 'temporary')", role)
        await owner.close()


async def test_every_function_names_where_temporary_objects_stand(owner: asyncpg.Connection[Any]) -> None:
    """Last; where it is not named, it is searched first. Functions whose body was parsed when it was made look nothing
    up later."""
    found = await owner.fetch(
        """
        select p.oid::regprocedure::text from pg_proc p
        where p.pronamespace in ('private'::regnamespace, 'public'::regnamespace) and p.prosqlbody is null
          and p.prokind = 'f' and not coalesce(p.proconfig, '{}') @> array['search_path=pg_catalog, pg_temp']
          and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
        """
    )
    assert [row[0] for row in found] == []
