"""Ways around a plain SELECT: whole rows, RETURNING, ON CONFLICT, conditions of one's own, statistics, objects of one's
own. Each is tried by somebody who has got at the API's log-in."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from db.migrations import repeatable_files
from tests.security.canaries import ADMIN, ANNA, BEN, NOBODY, PERSONAL, VISITOR, Caller, become, canary_id, person_id
from tests.security.test_grants import is_refused
from tests.security.test_row_level_security import EXPECTED

CALLERS = pytest.mark.parametrize("caller", [NOBODY, VISITOR, BEN, ADMIN], ids=lambda caller: caller.label)

ESCALATIONS = (
    "select s from public.user_sessions s",
    "select to_jsonb(s) from public.user_sessions s",
    "select count(*) from public.user_sessions s where s is not null",
    "select id from public.user_sessions order by refresh_token_hash",
    "select max(refresh_token_hash::text) from public.user_sessions",
    "select s.id from public.user_sessions s join public.user_sessions o using (refresh_token_hash)",
    "select * from public.affiliate_clicks",
    "table public.retailers",
    "update public.user_sessions set user_agent = 'x' returning refresh_token_hash",
    "update public.swipes set undone_at = now(), user_id = '{anna}'",
    "update public.profiles set display_name = 'x', email = 'x@x.example'",
    "insert into public.swipes (client_swipe_id, product_id, direction, user_id)"
    " values ('9', '{product}', 'up', '{anna}')",
    "insert into public.swipes (client_swipe_id, product_id, direction) values ('canary-anna', '{product}', 'up')"
    " on conflict (user_id, client_swipe_id) do update set user_id = '{anna}'",
    "insert into public.swipes (id, client_swipe_id, product_id, direction) values ('{swipe}', '9', '{product}', 'up')",
    "merge into public.profiles p using (select 1) o on true when matched then update set is_anonymous = false",
    "select nextval('public.a_sequence')",
    "select * from pg_authid",
    "create table public.mine (id int)",
    "create function public.mine() returns int language sql return 1",
    "create schema mine",
    "create trigger mine before update on public.swipes"
    " for each row execute function public.update_updated_at_column()",
    "create policy mine on public.swipes using (true)",
    "alter table public.swipes disable row level security",
    "alter role authenticated bypassrls",
    "grant service_role to authenticated",
    "set local session_replication_role = replica",
    "copy public.swipes to program 'true'",
    "select pg_read_file('/etc/passwd')",
)


@CALLERS
async def test_what_was_not_granted_is_refused_in_whatever_form(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any], caller: Caller
) -> None:
    await canaries.execute("create sequence public.a_sequence")
    known = {
        "anna": person_id("anna"),
        "product": canary_id("products", "planted"),
        "swipe": canary_id("swipes", "anna"),
    }
    statements = [statement.format(**known) for statement in ESCALATIONS]
    assert [statement for statement in statements if not await is_refused(login, caller, statement)] == []


async def test_row_security_cannot_be_switched_off_by_those_it_binds(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any]
) -> None:
    """row_security = off makes a query fail that would be filtered; it never shows more."""
    assert await is_refused(login, BEN, "set local row_security = off; select id from public.swipes")
    assert not await is_refused(login, BEN, "set local row_security = on; select id from public.swipes")


@CALLERS
async def test_a_condition_of_ones_own_is_not_asked_of_others_rows(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any], caller: Caller
) -> None:
    """A cheap function that keeps what it is shown, put in front of the policy if the planner let it."""
    own = {person_id(caller.person)} if caller.person else set()
    for table, column in PERSONAL.items():
        if EXPECTED[table].split()[0] != "own":
            continue
        transaction = login.transaction()
        await transaction.start()
        await become(login, caller)
        await login.execute("create temporary table shown (person uuid)")
        await login.execute(
            "create function pg_temp.keep(uuid) returns boolean language plpgsql cost 0.0000001 as"
            " $$ begin insert into pg_temp.shown values ($1); return true; end $$"
        )
        await login.execute(f"select count(*) from public.{table} where pg_temp.keep({column})")
        shown = {row[0] for row in await login.fetch("select person from pg_temp.shown")}
        await transaction.rollback()
        assert shown == own, table


@pytest.mark.parametrize("caller", [NOBODY, BEN, ADMIN], ids=lambda caller: caller.label)
async def test_statistics_tell_nothing_of_people(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any], caller: Caller
) -> None:
    """pg_stats holds real values; it hides those of tables with row security from those whom it binds."""
    await canaries.execute("analyze")
    query = "select count(*) from pg_stats where schemaname = 'public' and tablename = any($1)"
    assert await canaries.fetchval(query, list(PERSONAL)) > 50
    async with login.transaction():
        await become(login, caller)
        assert await login.fetchval(query, list(PERSONAL)) == 0


async def test_rows_cannot_be_found_by_what_a_foreign_key_answers(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any]
) -> None:
    """Ben's row may refer to a row of his alone: Anna's and one that never was are refused in the same words."""

    give_feedback = (
        "insert into public.recommendation_feedback (recommendation_id, product_id, feedback_type)"
        " select $1, id, 'helpful' from public.products where name = 'another'"
    )
    note_occasion = "insert into public.occasions (recipient_id, kind, occurs_on) values ($1, 'birthday', '2026-12-24')"

    async def answer(statement: str, referred: Any) -> str:
        try:
            async with login.transaction():
                await become(login, BEN)
                await login.execute(statement, referred)
        except asyncpg.PostgresError as error:
            return f"{error!r} {error.as_dict().get('detail')}".replace(str(referred), "it")
        return "taken"

    for statement, table, refusal in (
        (give_feedback, "recommendations", "InsufficientPrivilegeError"),
        (note_occasion, "recipients", "ForeignKeyViolationError"),
    ):
        hers = await answer(statement, canary_id(table, "anna"))
        assert hers == await answer(statement, person_id("nobody"))
        assert hers.startswith(refusal)


async def test_anna_reaches_what_is_hers_in_these_ways(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any]
) -> None:
    for statement in (
        "select s from public.swipes s",
        "select id, user_agent from public.user_sessions",
        "update public.profiles set display_name = 'x' returning *",
    ):
        assert not await is_refused(login, ANNA, statement)


async def test_where_a_superuser_migrates_nobody_makes_large_objects(superuser: asyncpg.Connection[Any]) -> None:
    """Elsewhere a superuser has to see to it: Postgres lets nobody else take its own functions away."""
    may = "select has_function_privilege('anon', $1, 'execute')"
    makers = ("lo_creat(integer)", "lo_create(oid)", "lo_from_bytea(oid, bytea)")
    (sql,) = [file.text for file in repeatable_files() if file.name == "functions/large_objects.sql"]
    await superuser.execute(sql)
    assert [await superuser.fetchval(may, maker) for maker in makers] == [False, False, False]
