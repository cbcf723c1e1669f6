"""`aclue verify`: a sound database passes every check, and every check notices the fault it is for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import asyncpg
import pytest

from db import migrations
from db.embedded import Dsns
from db.verification import report
from db.verification.check import Check, Outcome, Result, make_bench, run
from db.verification.expected import Expected
from db.verification.init_plans import calls_per_row
from db.verification.run import CHECKS, verify
from settings import load
from tests.bases import FILLED, Base, to_database
from tests.conftest import cloned
from tests.integration.faults import FAULTS

Connection: TypeAlias = "asyncpg.Connection[Any]"


def owner_of(dsns: Dsns) -> str:
    """The role that migrates."""
    return urlsplit(dsns.owner or "").username or ""


@pytest.fixture
async def copy(base: Base) -> AsyncIterator[Dsns]:
    """Log-ins to a migrated database with a catalogue."""
    async with cloned(base, FILLED) as dsns:
        yield dsns


async def all_results(dsns: Dsns) -> list[Result]:
    api = await asyncpg.connect(dsns.api)
    owner = await asyncpg.connect(dsns.owner) if dsns.owner else None
    try:
        return [result async for result in verify(api, owner, load({}))]
    finally:
        await api.close()
        if owner:
            await owner.close()


async def result_of(dsns: Dsns, check: Check) -> Result:
    api, owner = await asyncpg.connect(dsns.api), await asyncpg.connect(dsns.owner)
    try:
        return await run(check, await make_bench(api, owner, load({})))
    finally:
        await api.close()
        await owner.close()


async def contents(connection: Connection) -> dict[str, Any]:
    """A fingerprint of every table and of the catalog's grants, roles and policies."""
    tables = await connection.fetch(
        "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname in ('public', 'private', 'auth')"
    )
    return {
        table: await connection.fetchval(
            f"select md5(coalesce(string_agg(t::text, ',' order by t::text), '')) from {table} t"
        )
        for table in ("pg_auth_members", "pg_policies", "pg_default_acl", "pg_roles", *(row[0] for row in tables))
    }


async def test_a_sound_database_passes_every_check(copy: Dsns) -> None:
    results = await all_results(copy)
    assert {result.check.name: result.faults for result in results if result.outcome is not Outcome.PASSED} == {}
    assert len(results) == len(CHECKS) >= 40
    assert report.exit_code(results) == 0


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
async def test_a_check_notices_its_fault(copy: Dsns, check: Check) -> None:
    fault = FAULTS[check.name]
    superuser = await asyncpg.connect(copy.superuser)
    try:
        await superuser.execute(fault.sql.replace("{owner}", owner_of(copy)))
        result = await result_of(copy, check)
    finally:
        if fault.undo:
            await superuser.execute(fault.undo.replace("{owner}", owner_of(copy)))
        await superuser.close()
    assert result.outcome is Outcome.FAILED
    assert fault.says in "\n".join(result.faults)
    assert report.exit_code([result]) == 1


def test_every_check_has_a_fault_and_a_name_of_its_own() -> None:
    assert [check.name for check in CHECKS] == list(dict.fromkeys(check.name for check in CHECKS))
    assert {check.name for check in CHECKS} == FAULTS.keys()


async def test_a_partitioned_table_is_to_be_analysed_itself(copy: Dsns) -> None:
    """Autovacuum sees to its partitions, but never to the whole."""
    check = next(check for check in CHECKS if check.name == "performance.statistics")
    owner = await asyncpg.connect(copy.owner)
    await owner.execute(
        "create table public.bulk (id int) partition by range (id);"
        "create table public.bulk_1 partition of public.bulk default with (autovacuum_enabled = false);"
        "insert into public.bulk select generate_series(1, 100000); analyze public.bulk_1"
    )
    assert "".join((await result_of(copy, check)).faults).startswith("bulk has ")
    await owner.execute("analyze public.bulk")
    assert (await result_of(copy, check)).faults == []
    await owner.close()


async def test_two_runs_at_once_do_not_disturb_each_other(copy: Dsns) -> None:
    both = await asyncio.gather(all_results(copy), all_results(copy))
    assert {result.outcome for results in both for result in results} == {Outcome.PASSED}


async def test_nothing_is_left_behind(copy: Dsns) -> None:
    superuser = await asyncpg.connect(copy.superuser)
    before = await contents(superuser)
    assert len(before) > 30
    await all_results(copy)
    assert await contents(superuser) == before
    await superuser.close()


async def test_what_needs_the_owner_is_told_as_not_run(copy: Dsns) -> None:
    results = await all_results(Dsns(copy.api, None))
    not_run = {result.check.name for result in results if result.outcome is Outcome.NOT_RUN}
    assert not_run == {check.name for check in CHECKS if check.needs_owner}
    assert len(not_run) > 10
    assert {result.outcome for result in results} == {Outcome.PASSED, Outcome.NOT_RUN}
    assert report.exit_code(results) == 3
    assert f"{len(not_run)} not run" in report.summary(results)


async def test_a_failure_weighs_more_than_what_was_not_run(copy: Dsns) -> None:
    superuser = await asyncpg.connect(copy.superuser)
    await superuser.execute("alter table public.brands disable row level security")
    await superuser.close()
    assert report.exit_code(await all_results(Dsns(copy.api, None))) == 1


async def test_a_database_without_anything_fails_without_a_crash(blank: str, server: Dsns) -> None:
    results = await all_results(Dsns(to_database(server.api, urlsplit(blank).path.removeprefix("/")), blank))
    assert len(results) == len(CHECKS)
    assert sum(result.outcome is Outcome.FAILED for result in results) > 40
    assert report.exit_code(results) == 1


async def test_a_check_does_not_wait_for_locks(copy: Dsns) -> None:
    superuser = await asyncpg.connect(copy.superuser)
    async with superuser.transaction():
        await superuser.execute("lock table public.swipes in access exclusive mode")
        check = next(check for check in CHECKS if check.name == "people.account")
        result = await result_of(copy, check)
    await superuser.close()
    assert result.faults == ["canceling statement due to lock timeout"]


def test_what_is_expected_is_read_from_the_files() -> None:
    expected = Expected.read(["public", "private", "auth"])
    assert {"public.swipes", "private.auth_attempts", "auth.users"} <= expected.tables
    assert "public.swipes.swipes_user_id_client_swipe_id_key" in expected.constraints
    assert {"public.products_search_idx", "public.profiles_email_idx"} <= expected.indexes
    assert {"auth.users.aclue_profile_deleted", "public.products.products_search_names"} <= expected.triggers
    assert {"private.uuid_v7", "auth.uid", "public.update_updated_at_column"} <= expected.functions
    assert expected.policies["public.products", "products_admin_update"].roles == {"authenticated"}
    assert ("anon", "public.swipes", "insert", "direction") in expected.grants
    assert ("service_role", "private.refresh_model") in expected.callers
    assert not any(name.startswith("auth.") for name in Expected.read(["public", "private"]).tables)


async def test_what_a_later_migration_drops_is_not_expected(tmp_path: Any) -> None:
    for folder in ("migrations", *migrations.REPEATABLE_FOLDERS):
        (tmp_path / folder).mkdir()
    first, later = "20260101000000_first.sql", "20260102000000_later.sql"
    (tmp_path / "migrations" / first).write_text(
        "create table public.a (id int constraint a_pkey primary key, b int constraint a_b check (b > 0));\n"
        "create index a_b_idx on public.a (b); create table public.c (id int constraint c_pkey primary key);\n"
        "create trigger a_t before update on public.a for each row execute function public.x();"
    )
    (tmp_path / "migrations" / later).write_text(
        "drop table if exists public.c; drop index concurrently if exists public.a_b_idx;\n"
        "drop trigger a_t on public.a;\n"
        "alter table public.a drop constraint a_b, add constraint a_b2 check (b > 1);"
    )
    expected = Expected.read(["public"], tmp_path)
    assert expected.tables == {"public.a", "private.applied_files"}
    assert expected.constraints == {"public.a.a_pkey", "public.a.a_b2", "private.applied_files.applied_files_pkey"}
    assert (expected.indexes, expected.triggers) == (set(), set())


@pytest.mark.parametrize(
    ("condition", "calls"),
    [
        ("(user_id = ( SELECT auth.uid() AS uid))", []),
        ("(user_id = auth.uid())", ["auth.uid()"]),
        ("((user_id = ( SELECT auth.uid() AS uid)) AND (auth.role() = 'x'::text))", ["auth.role()"]),
        ("(( SELECT (auth.jwt() ->> 'aal'::text)) = 'aal2'::text)", []),
        ("(( SELECT private.has_mfa(auth.uid()) AS has_mfa) OR (id = auth.uid()))", ["auth.uid()"]),
        ("(note = '( SELECT'::text) AND (user_id = auth.uid())", ["auth.uid()"]),
        ("true", []),
    ],
)
def test_calls_for_every_row_are_told_from_those_for_the_statement(condition: str, calls: list[str]) -> None:
    assert calls_per_row(condition) == calls
