"""Taking a release back, with data in the tables before it, beside it and in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest

from db import migrations, releases
from db.embedded import Dsns
from db.migrations import SQL_FOLDER, MigrationError, migrate
from db.rollbacks import plan_rollback, rollback, why_not
from tests.security.canaries import ANNA, BEN, PERSONAL, ROWS, become, plant

Connection: TypeAlias = "asyncpg.Connection[Any]"

NOTES = "20991230000000_notes.sql"
PRICES = "20991231000000_prices.sql"
FORWARD = {
    NOTES: """-- Notes.
        create table public.notes (
          user_id uuid constraint notes_user_id_fkey references public.profiles (id) on delete cascade, text text);
    """,
    PRICES: "alter table public.brands add column slogan text, add column is_loud boolean;",
}
BACK = {
    NOTES: "drop table public.notes;",
    PRICES: "alter table public.brands drop column slogan, drop column is_loud;",
}
POLICY = """-- One's own.
alter table public.notes enable row level security;
revoke all on table public.notes from public, anon, authenticated, service_role;
grant select on table public.notes to authenticated;
drop policy if exists notes_own_read on public.notes;
create policy notes_own_read on public.notes for select to authenticated using (user_id = (select auth.uid()));
"""


@pytest.fixture
def release(sql: Path) -> Path:
    """A folder with one release more than the database has: a table with its policy, and two columns."""
    for name, text in FORWARD.items():
        (sql / "migrations" / name).write_text(text)
        (sql / "rollbacks" / name).write_text(BACK[name])
    (sql / "policies" / "notes.sql").write_text(POLICY)
    return sql


def replace_rollback(folder: Path, name: str, text: str) -> None:
    (folder / "rollbacks" / name).write_text(text)


async def contents(owner: Connection) -> dict[str, list[str]]:
    """Every row of every table that was there before, as text; columns of the release left out."""
    return {
        table: [
            row[0]
            for row in await owner.fetch(
                f"select (to_jsonb(t) - 'slogan' - 'is_loud')::text from public.{table} t order by 1"
            )
        ]
        for table in ROWS
    }


async def policies(owner: Connection) -> list[Any]:
    return await owner.fetch("select * from pg_policies where tablename <> 'notes' order by tablename, policyname")


async def tables_without_row_level_security(owner: Connection) -> list[str]:
    rows = await owner.fetch(
        "select oid::regclass::text from pg_class where relkind in ('r', 'p') and not relrowsecurity"
        " and relnamespace in ('public'::regnamespace, 'private'::regnamespace, 'auth'::regnamespace)"
    )
    return [row[0] for row in rows]


async def seen_by(dsns: Dsns, caller: Any, table: str) -> int:
    api = await asyncpg.connect(dsns.api)
    try:
        async with api.transaction():
            await become(api, caller)
            count: int = await api.fetchval(f"select count(*) from public.{table}")
            return count
    finally:
        await api.close()


async def test_a_release_goes_and_everything_before_it_stays(owner: Connection, dsns: Dsns, release: Path) -> None:
    await plant(owner)
    before, rules = await contents(owner), await policies(owner)
    await migrate(owner, folder=release)
    assert await rollback(owner, folder=release) == [f"migrations/{PRICES}", f"migrations/{NOTES}"]
    assert await owner.fetchval("select to_regclass('public.notes') is null")
    assert await contents(owner) == before
    assert await policies(owner) == rules
    assert await tables_without_row_level_security(owner) == []
    for table in PERSONAL:
        if table != "affiliate_redirects":
            assert (await seen_by(dsns, ANNA, table), await seen_by(dsns, BEN, table)) == (1, 1), table


async def test_what_went_comes_again_with_its_policies(owner: Connection, dsns: Dsns, release: Path) -> None:
    await plant(owner)
    applied = await migrate(owner, folder=release)
    await rollback(owner, folder=release)
    again = await migrate(owner, folder=release)
    assert [file.name for file in again.migrations] == [file.name for file in applied.migrations]
    await owner.execute("insert into public.notes select id, 'mine' from public.profiles")
    assert await seen_by(dsns, ANNA, "notes") == 1
    assert await rollback(owner, folder=release, accept_data_loss=True) == [
        f"migrations/{PRICES}",
        f"migrations/{NOTES}",
    ]


async def test_what_was_loaded_once_stays_known(owner: Connection, release: Path) -> None:
    await owner.execute("insert into private.applied_files (name, checksum) values ('seed 7', '')")
    await migrate(owner, folder=release)
    await rollback(owner, folder=release)
    assert await owner.fetchval("select exists (select from private.applied_files where name = 'seed 7')")


async def test_code_of_before_the_release_migrates_what_is_left(owner: Connection, dsns: Dsns, release: Path) -> None:
    await migrate(owner, folder=release)
    await rollback(owner, folder=release)
    assert (await migrate(owner)).names == [file.name for file in migrations.repeatable_files()]
    api = await asyncpg.connect(dsns.api)
    assert await releases.differences(api) == []
    await api.close()


async def test_a_rollback_that_would_lose_rows_is_refused(owner: Connection, release: Path) -> None:
    await plant(owner)
    await migrate(owner, folder=release)
    await owner.execute("insert into public.notes select id, 'mine' from public.profiles")
    await owner.execute("update public.brands set is_loud = true")
    with pytest.raises(
        MigrationError, match=r"^a rollback would lose column public\.brands\.is_loud, table public\.notes; --accept-"
    ):
        await rollback(owner, folder=release)
    assert await owner.fetchval("select count(*) from public.notes") == 4
    assert await owner.fetchval("select bool_and(is_loud) from public.brands")


async def test_rows_that_a_rollback_deletes_count_as_lost(owner: Connection, release: Path) -> None:
    await plant(owner)
    await migrate(owner, folder=release)
    replace_rollback(release, PRICES, "delete from public.swipes;")
    with pytest.raises(MigrationError, match=r"^a rollback would lose .*rows of public\.swipes"):
        await rollback(owner, folder=release)
    assert await owner.fetchval("select count(*) from public.swipes") == 4


async def test_loss_that_is_accepted_is_done(owner: Connection, release: Path) -> None:
    await plant(owner)
    await migrate(owner, folder=release)
    before = await contents(owner)
    await owner.execute("insert into public.notes select id, 'mine' from public.profiles")
    await rollback(owner, folder=release, accept_data_loss=True)
    assert await owner.fetchval("select to_regclass('public.notes') is null")
    assert await contents(owner) == before


async def test_a_release_without_all_its_files_stays(owner: Connection, release: Path) -> None:
    await migrate(owner, folder=release)
    (release / "rollbacks" / NOTES).unlink()
    with pytest.raises(MigrationError, match=rf"^migrations/{NOTES} cannot be rolled back: there is no sql/rollbacks/"):
        await rollback(owner, folder=release)
    assert await owner.fetchval("select count(*) from pg_attribute where attname in ('slogan', 'is_loud')") == 2


@pytest.mark.parametrize(
    "text",
    [
        "alter table public.swipes disable row level security;",
        "alter table public.swipes DISABLE /* it is in the way */ ROW\n LEVEL security;",
        "alter table public.swipes no force row level security;",
    ],
)
async def test_a_rollback_that_says_to_open_a_table_is_refused(owner: Connection, release: Path, text: str) -> None:
    await migrate(owner, folder=release)
    replace_rollback(release, PRICES, BACK[PRICES] + text)
    with pytest.raises(MigrationError, match=rf"^rollbacks/{PRICES} would turn row level security off"):
        await rollback(owner, folder=release)


@pytest.mark.parametrize("is_accepted", [False, True])
async def test_a_rollback_that_opens_a_table_by_stealth_is_taken_back(
    owner: Connection, release: Path, is_accepted: bool
) -> None:
    await migrate(owner, folder=release)
    stealth = "do $$ begin execute 'alter table public.swipes dis' || 'able row level security'; end $$;"
    replace_rollback(release, PRICES, BACK[PRICES] + stealth)
    with pytest.raises(MigrationError, match=r"^after this rollback (public\.)?swipes would stand without row level"):
        await rollback(owner, folder=release, accept_data_loss=is_accepted)
    assert await tables_without_row_level_security(owner) == []
    assert await owner.fetchval("select to_regclass('public.notes') is not null")


async def test_a_table_that_a_rollback_brings_back_is_closed(owner: Connection, release: Path) -> None:
    await migrate(owner, folder=release)
    replace_rollback(release, PRICES, "create table public.once (id int);")
    with pytest.raises(MigrationError, match=r"^after this rollback (public\.)?once would stand without row level"):
        await rollback(owner, folder=release)


async def test_a_failing_rollback_changes_nothing(owner: Connection, release: Path) -> None:
    await migrate(owner, folder=release)
    before = await owner.fetch("table private.applied_files")
    replace_rollback(release, NOTES, BACK[NOTES] + "select 1 / 0;")
    with pytest.raises(MigrationError, match=rf"^rollbacks/{NOTES}: division by zero"):
        await rollback(owner, folder=release, accept_data_loss=True)
    assert await owner.fetch("table private.applied_files") == before
    assert await owner.fetchval("select count(*) from pg_attribute where attname in ('slogan', 'is_loud')") == 2


async def test_only_the_last_release_is_planned(owner: Connection, release: Path) -> None:
    await migrate(owner, folder=release)
    before = await owner.fetch("table private.applied_files")
    assert [file.name for file in await plan_rollback(owner, release)] == [f"rollbacks/{PRICES}", f"rollbacks/{NOTES}"]
    assert await owner.fetch("table private.applied_files") == before


async def test_a_release_of_before_there_were_releases_is_refused(owner: Connection) -> None:
    await owner.execute("update private.applied_files set release = 0")
    with pytest.raises(MigrationError, match=r"^the last release was applied before releases were counted"):
        await rollback(owner)


async def test_there_is_nothing_to_roll_back_in_a_blank_database(blank: str) -> None:
    owner = await asyncpg.connect(blank)
    with pytest.raises(MigrationError, match=r"^there is no release to roll back$"):
        await plan_rollback(owner)
    assert await owner.fetchval("select to_regclass('private.applied_files') is null")
    await owner.close()


async def test_second_factors_go_and_come_again(blank: str) -> None:
    owner = await asyncpg.connect(blank)
    files = migrations.migration_files()
    second_factors = next(i for i, file in enumerate(files) if file.name.endswith("_second_factors.sql"))
    await migrate(owner, to=files[second_factors - 1].name)
    await owner.execute("insert into public.profiles (email) values ('kept@people.example')")
    await migrate(owner, to=files[second_factors].name)
    await rollback(owner)
    is_ours = await owner.fetchval("select obj_description('auth'::regnamespace, 'pg_namespace') = 'aclue'")
    assert await owner.fetchval("select to_regclass('auth.mfa_factors') is null") is bool(is_ours)
    assert await owner.fetchval("select email from public.profiles") == "kept@people.example"
    await migrate(owner)
    assert await owner.fetchval("select to_regclass('auth.mfa_factors') is not null")
    assert await tables_without_row_level_security(owner) == []
    await owner.close()


CATALOG = """
    with ours as (
      select oid from pg_namespace where nspname in ('public', 'private', 'jobs')
        or (nspname = 'auth' and obj_description(oid, 'pg_namespace') = 'aclue'))
    select format('column %s.%s %s %s %s', c.oid::regclass, a.attname, format_type(a.atttypid, a.atttypmod),
      a.attnotnull, pg_get_expr(d.adbin, d.adrelid)) as what
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
    where c.relnamespace in (select oid from ours) and c.relkind in ('r', 'p', 'v')
    union all select pg_get_indexdef(c.oid) from pg_class c
    where c.relnamespace in (select oid from ours) and c.relkind in ('i', 'I')
    union all select format('%s on %s: %s', conname, conrelid::regclass, pg_get_constraintdef(oid)) from pg_constraint
    where connamespace in (select oid from ours)
    union all select pg_get_triggerdef(t.oid) from pg_trigger t join pg_class c on c.oid = t.tgrelid
    where not t.tgisinternal and c.relnamespace in (select oid from ours)
    union all select format('function %s', p.oid::regprocedure) from pg_proc p
    where p.pronamespace in (select oid from ours)
    union all select format('schema %s', nspname) from pg_namespace where oid in (select oid from ours)
    union all select format('type %s', t.oid::regtype) from pg_type t
    where t.typnamespace in (select oid from ours) and t.typtype in ('e', 'd')
"""


async def catalog(owner: Connection) -> set[str]:
    return {row["what"] for row in await owner.fetch(CATALOG)}


async def test_each_rollback_undoes_its_migration_which_can_then_be_applied_again(blank: str) -> None:
    owner = await asyncpg.connect(blank)
    await owner.execute("set check_function_bodies = off")
    for file in migrations.migration_files():
        rollback_file = SQL_FOLDER / "rollbacks" / Path(file.name).name
        before = await catalog(owner) if rollback_file.exists() else set()
        await migrations.execute(owner, file)
        if rollback_file.exists():
            after = await catalog(owner)
            await owner.execute(rollback_file.read_text())
            assert await catalog(owner) == before, file.name
            await migrations.execute(owner, file)
            assert await catalog(owner) == after, file.name
    await owner.close()


def test_each_migration_has_a_rollback_or_says_why_not() -> None:
    """As a comment at its beginning: `-- no rollback: reason`. Those of before the first release are listed, and no
    other may be."""
    names = [Path(file.name).name for file in migrations.migration_files()]
    listed = [
        line.partition(": ")[0]
        for line in (SQL_FOLDER / "rollbacks" / "missing.txt").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    has_file = {path.name for path in (SQL_FOLDER / "rollbacks").glob("*.sql")}
    assert [name for name in names if name not in has_file and not why_not(name)] == []
    assert has_file <= set(names)
    assert [
        name for name in listed if name in has_file or name not in names or name > "20261130110200_sales_by_offer.sql"
    ] == []
    assert [name for name in names if name in has_file and name not in listed and why_not(name)] == []


async def test_a_reason_is_said_where_there_is_no_rollback(owner: Connection, release: Path) -> None:
    path = release / "migrations" / NOTES
    path.write_text(path.read_text().replace("-- Notes.", "-- Notes.\n-- no rollback: they are for ever"))
    (release / "rollbacks" / NOTES).unlink()
    await migrate(owner, folder=release)
    with pytest.raises(MigrationError, match=rf"^migrations/{NOTES} cannot be rolled back: they are for ever; write a"):
        await rollback(owner, folder=release)


async def test_the_queue_of_jobs_goes_and_comes_again(owner: Connection) -> None:
    before = await catalog(owner)
    await owner.execute("update private.applied_files set release = 2 where name >= 'migrations/20261130130000'")
    undone = await rollback(owner)
    assert "migrations/20261130130000_jobs.sql" in undone
    assert await owner.fetchval("select to_regnamespace('jobs') is null")
    await owner.execute("insert into private.reset_requests (canonical_email, spellings, expires_at)"
                        " values ('a@b.example', '{a@b.example}', now())")  # fmt: skip
    await migrate(owner)
    assert await catalog(owner) == before
