"""Migrating real databases: what runs, what is refused, and what the API's log-in may become."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from db import migrations
from db.embedded import Dsns
from db.migrations import MigrationError, ensure_api_login, migrate
from tests.integration.waiting import until

Connection: TypeAlias = "asyncpg.Connection[Any]"
LATER = "20991231000000"


def add(folder: Path, name: str, text: str) -> str:
    (folder / "migrations" / name).write_text(text)
    return f"migrations/{name}"


async def exists(connection: Connection, table: str) -> bool:
    return bool(await connection.fetchval("select to_regclass($1) is not null", table))


async def applied(connection: Connection) -> set[str]:
    return {row["name"] for row in await connection.fetch("select name from private.applied_files")}


async def test_a_blank_database_gets_every_file_in_order(blank: str) -> None:
    owner = await asyncpg.connect(blank)
    seen: list[str] = []
    done = await migrate(owner, on_applied=seen.append)
    files = [*migrations.migration_files(), *migrations.repeatable_files()]
    assert seen == done.names == [file.name for file in files]
    assert await applied(owner) == set(seen)
    await owner.close()


async def test_a_second_run_applies_nothing(owner: Connection) -> None:
    assert (await migrate(owner)).names == []


async def test_a_changed_file_is_refused(owner: Connection, sql: Path) -> None:
    file = next((sql / "migrations").glob("*_people.sql"))
    file.write_text(file.read_text() + "\n")
    with pytest.raises(MigrationError, match=rf"^migrations/{file.name} was changed after it was applied; write a new"):
        await migrate(owner, folder=sql)


async def test_a_database_newer_than_the_code_is_refused(owner: Connection, sql: Path) -> None:
    name = add(sql, f"{LATER}_later.sql", "select 1;")
    await migrate(owner, folder=sql)
    with pytest.raises(MigrationError, match=rf"^the database is newer than this code: it has {name}$"):
        await migrate(owner)


async def test_a_file_out_of_order_is_refused(owner: Connection, sql: Path) -> None:
    name = add(sql, "20200101000000_forgotten.sql", "create table public.forgotten (id int);")
    with pytest.raises(
        MigrationError, match=rf"^{name} is older than migrations/\d+_\w+\.sql, which was applied: rename"
    ):
        await migrate(owner, folder=sql)
    assert not await exists(owner, "public.forgotten")


async def test_a_failing_file_is_rolled_back_whole(owner: Connection, sql: Path) -> None:
    before = await applied(owner)
    name = add(sql, f"{LATER}_half.sql", "create table public.half (id int); select 1 / 0;")
    with pytest.raises(MigrationError, match=rf"^{name}: division by zero"):
        await migrate(owner, folder=sql)
    assert not await exists(owner, "public.half")
    assert await applied(owner) == before


async def test_files_before_a_failing_one_stay_applied(owner: Connection, sql: Path) -> None:
    good = add(sql, "20991230000000_good.sql", "create table public.good (id int);")
    add(sql, f"{LATER}_bad.sql", "select 1 / 0;")
    with pytest.raises(MigrationError):
        await migrate(owner, folder=sql)
    assert await exists(owner, "public.good")
    assert good in await applied(owner)


async def test_a_failing_repeatable_file_takes_the_others_back_with_it(owner: Connection, sql: Path) -> None:
    (sql / "functions" / "aaa.sql").write_text("create function private.aaa() returns int language sql return 1;")
    (sql / "policies" / "zzz.sql").write_text("select 1 / 0;")
    with pytest.raises(MigrationError, match=r"^policies/zzz\.sql: division by zero"):
        await migrate(owner, folder=sql)
    assert await owner.fetchval("select to_regproc('private.aaa') is null")


async def test_a_repaired_file_goes_through(owner: Connection, sql: Path) -> None:
    add(sql, f"{LATER}_half.sql", "select 1 / 0;")
    with pytest.raises(MigrationError):
        await migrate(owner, folder=sql)
    name = add(sql, f"{LATER}_half.sql", "create table public.whole (id int);")
    assert (await migrate(owner, folder=sql)).names == [name]


async def test_a_marked_file_runs_outside_a_transaction(owner: Connection, sql: Path) -> None:
    text = f"{migrations.NO_TRANSACTION}\ncreate index concurrently later_idx on public.brands (is_active);"
    name = add(sql, f"{LATER}_later.sql", text)
    assert (await migrate(owner, folder=sql)).names == [name]
    assert await exists(owner, "public.later_idx")


@pytest.mark.drill
async def test_an_interrupted_index_build_is_restarted(owner: Connection, sql: Path) -> None:
    await owner.execute("create table public.twins as select 1 as id from generate_series(1, 2)")
    text = f"{migrations.NO_TRANSACTION}\ncreate unique index concurrently twins_idx on public.twins (id);"
    name = add(sql, f"{LATER}_twins.sql", text)
    with pytest.raises(MigrationError, match="twins_idx"):
        await migrate(owner, folder=sql)
    assert not await owner.fetchval("select indisvalid from pg_index where indexrelid = 'public.twins_idx'::regclass")
    await owner.execute("delete from public.twins where ctid = '(0,1)'")
    assert (await migrate(owner, folder=sql)).names == [name]
    assert await owner.fetchval("select indisvalid from pg_index where indexrelid = 'public.twins_idx'::regclass")


async def test_only_the_repeatable_files_that_changed_are_applied_again(owner: Connection, sql: Path) -> None:
    file = sql / "policies" / "brands.sql"
    file.write_text(file.read_text() + "comment on policy brands_read on public.brands is 'Changed.';\n")
    assert (await migrate(owner, folder=sql)).names == ["policies/brands.sql"]
    assert (await migrate(owner, folder=sql)).names == []


async def test_every_repeatable_file_can_be_applied_again(owner: Connection) -> None:
    await owner.execute("delete from private.applied_files where name not like 'migrations/%'")
    assert (await migrate(owner)).names == [file.name for file in migrations.repeatable_files()]


FORMER_FUNCTIONS = [
    "private.account_credentials(text)",
    "private.audit_table(text, text, text, text, text, text)",
    "private.change_role(text, text, boolean, uuid)",
    "private.create_account(text, text, text)",
    "private.follow_swipes(uuid[])",
    "private.get_user_analytics_summary(timestamptz)",
    "private.note_sign_in(uuid)",
    "private.use_one_time_token(text, bytea)",
]
FUNCTIONS = """
select array_agg(oid::regprocedure::text order by oid::regprocedure::text) from pg_proc
where pronamespace = 'private'::regnamespace
"""


async def test_functions_of_an_earlier_release_are_dropped(owner: Connection) -> None:
    """Most run with the rights of their owner, and would stay in a database that was migrated from that release."""
    declared = await owner.fetchval(FUNCTIONS)
    for function in FORMER_FUNCTIONS:
        await owner.execute(f"create function {function} returns void language sql as ''")
    assert len(await owner.fetchval(FUNCTIONS)) == len(declared) + len(FORMER_FUNCTIONS)
    await owner.execute("delete from private.applied_files where name like 'functions/%'")
    await migrate(owner)
    assert await owner.fetchval(FUNCTIONS) == declared


SOMEBODY_TRIES = """
exists (select from pg_stat_activity where query like '%pg_try_advisory_lock%' and pid <> pg_backend_pid())
"""


async def test_a_second_runner_waits_for_the_first(owner: Connection, dsns: Dsns) -> None:
    first = await asyncpg.connect(dsns.owner)
    await first.execute(f"select pg_advisory_lock({migrations._LOCK})")
    second = asyncio.create_task(migrate(owner))
    await until(first, SOMEBODY_TRIES)
    assert not second.done()
    await first.close()
    assert (await second).names == []


async def test_of_two_runners_at_once_each_file_is_applied_by_one(blank: str) -> None:
    one, other = await asyncpg.connect(blank), await asyncpg.connect(blank)
    done = await asyncio.gather(migrate(one), migrate(other))
    assert sorted(len(plan.names) for plan in done) == [0, len(await applied(one))]
    await one.close()
    await other.close()


async def test_a_failure_gives_up_the_lock(owner: Connection, dsns: Dsns, sql: Path) -> None:
    add(sql, f"{LATER}_bad.sql", "select 1 / 0;")
    with pytest.raises(MigrationError):
        await migrate(owner, folder=sql)
    other = await asyncpg.connect(dsns.owner)
    assert await other.fetchval(f"select pg_try_advisory_lock({migrations._LOCK})")
    await other.close()


NEWEST = migrations.migration_files()[-1].name
OLDER = migrations.migration_files()[4]


@pytest.mark.parametrize(
    "spelled", [Path(OLDER.name).name[:14], Path(OLDER.name).stem, OLDER.name, f"sql/{OLDER.name}"]
)
async def test_a_run_stops_after_the_migration_named(blank: str, spelled: str) -> None:
    owner = await asyncpg.connect(blank)
    done = await migrate(owner, to=spelled)
    assert done.names == [file.name for file in migrations.migration_files()[:5]]
    assert done.stops_short
    assert await applied(owner) == set(done.names)
    await owner.close()


async def test_no_table_is_open_while_policies_are_skipped(blank: str) -> None:
    owner = await asyncpg.connect(blank)
    await migrate(owner, to=OLDER.name)
    tables = await owner.fetch(
        "select relname, relrowsecurity from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'"
    )
    assert len(tables) > 5
    assert [row["relname"] for row in tables if not row["relrowsecurity"]] == []
    await owner.close()


async def test_the_rest_follows_later(blank: str) -> None:
    owner = await asyncpg.connect(blank)
    first = await migrate(owner, to=OLDER.name)
    rest = await migrate(owner, to=NEWEST)
    files = [*migrations.migration_files(), *migrations.repeatable_files()]
    assert first.names + rest.names == [file.name for file in files]
    assert not rest.stops_short
    await owner.close()


async def test_going_back_is_not_a_matter_of_where_to_stop(owner: Connection) -> None:
    with pytest.raises(MigrationError, match=rf"^{NEWEST} was applied already, which comes after {OLDER.name}; --roll"):
        await migrate(owner, to=OLDER.name)


async def test_an_unknown_migration_to_stop_after_is_refused(owner: Connection) -> None:
    with pytest.raises(MigrationError, match=rf"^there is no migration 2026; the newest is {NEWEST}$"):
        await migrate(owner, to="2026")


async def test_a_plan_stops_where_a_run_would(blank: str) -> None:
    owner = await asyncpg.connect(blank)
    planned = await migrations.plan(owner, to=OLDER.name)
    assert planned.names == (await migrate(owner, to=OLDER.name)).names
    await owner.close()


async def test_every_run_that_applies_something_is_a_release_of_its_own(blank: str, sql: Path) -> None:
    owner = await asyncpg.connect(blank)
    await migrate(owner, to=OLDER.name)
    await migrate(owner)
    await migrate(owner)
    name = add(sql, f"{LATER}_later.sql", "select 1;")
    await migrate(owner, folder=sql)
    releases = dict(await owner.fetch("select name, release from private.applied_files"))
    assert (releases[OLDER.name], releases[NEWEST], releases[name]) == (1, 2, 3)
    await owner.close()


async def test_a_history_of_before_releases_gets_them(owner: Connection, sql: Path) -> None:
    await owner.execute(
        "alter table private.applied_files drop column release; alter table private.applied_files"
        " disable row level security"
    )
    name = add(sql, f"{LATER}_later.sql", "select 1;")
    await migrate(owner, folder=sql)
    assert dict(
        await owner.fetch(
            "select release, count(*) from private.applied_files where name like '%/%' group by 1 order by 1"
        )
    ) == {
        0: len(migrations.migration_files()) + len(migrations.repeatable_files()),
        1: 1,
    }
    assert await owner.fetchval("select release from private.applied_files where name = $1", name) == 1
    assert await owner.fetchval("select relrowsecurity from pg_class where relname = 'applied_files'")


async def test_statistics_are_up_to_date_after_a_migration(owner: Connection, sql: Path) -> None:
    fill = "create table public.filled (id int); insert into public.filled select generate_series(1, 5000);"
    parts = (
        "create table public.halves (id int) partition by range (id);"
        "create table public.halves_all partition of public.halves for values from (0) to (10);"
        "insert into public.halves select i % 10 from generate_series(1, 1000) i;"
    )
    add(sql, f"{LATER}_filled.sql", fill + parts)
    await migrate(owner, folder=sql)
    await owner.execute("create table public.nothing_yet (id int)")
    await migrations.analyze(owner)
    known = "select reltuples::int from pg_class where relname = $1"
    assert await owner.fetchval(known, "nothing_yet") == -1
    assert await owner.fetchval(known, "filled") == 5000
    assert await owner.fetchval(known, "halves") == 1000


async def test_a_plan_changes_nothing(blank: str) -> None:
    owner = await asyncpg.connect(blank)
    assert len((await migrations.plan(owner)).names) > 10
    assert not await exists(owner, "private.applied_files")
    await owner.close()


@pytest.fixture
async def login(dsns: Dsns, owner: Connection) -> AsyncIterator[str]:
    """The DSN of a log-in that does not exist yet; it is dropped afterwards."""
    name, parts = f"api_{secrets.token_hex(4)}", urlsplit(dsns.api)
    yield urlunsplit(parts._replace(netloc=f"{name}:it%27s%20secret@"))
    await owner.execute(f"drop role if exists {name}")


def name_in(dsn: str) -> str:
    return urlsplit(dsn).username or ""


async def test_a_missing_login_is_created_harmless(owner: Connection, login: str) -> None:
    await ensure_api_login(owner, login)
    role = await owner.fetchrow("select * from pg_roles where rolname = $1", name_in(login))
    assert role is not None
    powers = ("rolsuper", "rolbypassrls", "rolinherit", "rolcreaterole", "rolcreatedb", "rolreplication")
    assert {power for power in powers if role[power]} == set()
    assert role["rolcanlogin"]


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
async def test_the_login_can_become_the_roles_of_the_api(owner: Connection, login: str, role: str) -> None:
    await ensure_api_login(owner, login)
    api = await asyncpg.connect(login)
    await api.execute(f"set role {role}")
    assert await api.fetchval("select current_user") == role
    await api.close()


async def test_the_login_can_become_nobody_else(owner: Connection, login: str) -> None:
    await ensure_api_login(owner, login)
    own = {name_in(login), "anon", "authenticated", "service_role"}
    others = {row[0] for row in await owner.fetch("select rolname from pg_roles")} - own
    assert {"postgres", "aclue_api", await owner.fetchval("select current_user")} <= others
    api = await asyncpg.connect(login)
    for other in others:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await api.execute(f'set role "{other}"')
    await api.close()


async def test_the_login_reads_nothing_before_it_becomes_somebody(owner: Connection, login: str) -> None:
    await ensure_api_login(owner, login)
    api = await asyncpg.connect(login)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await api.fetch("select * from public.products")
    await api.close()


async def test_the_login_owns_nothing(owner: Connection, login: str) -> None:
    await ensure_api_login(owner, login)
    owned = "select count(*) from pg_shdepend where refobjid = to_regrole($1) and deptype = 'o'"
    assert await owner.fetchval(owned, name_in(login)) == 0
    assert await owner.fetchval(owned, "aclue_api") == 0


async def test_making_sure_of_a_login_twice_changes_nothing(owner: Connection, login: str) -> None:
    members = "select count(*) from pg_auth_members where member = to_regrole($1)"
    await ensure_api_login(owner, login)
    before = await owner.fetchval(members, name_in(login))
    await ensure_api_login(owner, login)
    assert before == await owner.fetchval(members, name_in(login)) == 3


async def test_a_missing_login_without_a_password_is_refused(owner: Connection, dsns: Dsns) -> None:
    dsn = urlunsplit(urlsplit(dsns.api)._replace(netloc="nobody_yet@"))
    with pytest.raises(MigrationError, match="the role nobody_yet of DATABASE_URL does not exist, and the URL has no"):
        await ensure_api_login(owner, dsn)


async def test_the_owner_as_login_is_left_alone(owner: Connection, dsns: Dsns) -> None:
    memberships = "select count(*) from pg_auth_members"
    before = await owner.fetchval(memberships)
    await ensure_api_login(owner, dsns.owner or "")
    assert await owner.fetchval(memberships) == before


async def test_statements_are_not_compiled(blank: str) -> None:
    for given in ("off", "on"):
        owner = await asyncpg.connect(blank, server_settings={"jit": given})
        await migrations.turn_off_jit(owner)
        await owner.close()
    owner = await asyncpg.connect(blank)
    assert await owner.fetchval(
        "select 'jit=off' = any(setconfig) from pg_db_role_setting where "
        "setdatabase = (select oid from pg_database where datname = current_database())"
    )
    await owner.close()
