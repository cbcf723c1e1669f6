"""What people may write by SQL, past the API: listed with a reason, and bounded by the table itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg
import pytest

from db import sql_writes
from db.sql_writes import WritableColumn
from tests.security.canaries import ADMIN, ANNA, PERSONAL, VISITOR, Caller, become, canary_id, insert, person_id

PAGE = Path(__file__).resolve().parents[2] / "docs" / "sql-writes.md"

LARGE = "repeat('x', 1000000)"
DEEP = "(repeat('[', 100) || repeat(']', 100))"
HOSTILE = {  # by type: values that no column may take, as SQL
    "text": [LARGE],
    "text[]": [f"array[{LARGE}]", "array(select 'tag-' || n from generate_series(1, 10000) n)"],
    "jsonb": [
        f"jsonb_build_object('large', {LARGE})",
        f"jsonb_build_object('deep', {DEEP}::jsonb)",
        """'{"number": 1e400}'""",
        """'{"number": -1e5000}'""",
    ],
    "timestamp with time zone": ["'infinity'", "'-infinity'", "'20000-01-01'", "'0044-03-15 BC'"],
    "date": ["'infinity'", "'-infinity'", "'20000-01-01'", "'0044-03-15 BC'"],
    "uuid": ["gen_random_uuid()"],
    "character(3)": ["'XXX'"],
    "smallint": ["-1", "32767"],
    "integer": ["-1"],
    "bigint": ["-1"],
}
NOT_BOUNDED = {"boolean", "swipe_direction"}  # their type is


async def outcome(login: asyncpg.Connection[Any], caller: Caller, statement: str) -> str:
    """refused, nothing or written; what the statement did is taken back."""
    transaction = login.transaction()
    await transaction.start()
    try:
        await become(login, caller)
        status = await login.execute(statement)
    except asyncpg.PostgresError:
        return "refused"
    finally:
        await transaction.rollback()
    return "nothing" if status.endswith(" 0") else "written"


def attempts(column: WritableColumn, caller: Caller) -> list[tuple[str, str]]:
    """Statements that try each hostile value, with what is tried."""
    table = column.table.removeprefix("public.")
    found = []
    for value in HOSTILE[column.type]:
        if column.inserted_by:
            row = insert(table, caller.person or "", with_owner=False, changed={column.name: value})
            found.append((f"insert {table}.{column.name} {value}", row))
        if column.updated_by:
            change = f"update public.{table} set {column.name} = {value}"
            found.append((f"update {table}.{column.name} {value}", change))
    return found


async def test_the_page_lists_every_grant_with_its_reason(owner: asyncpg.Connection[Any]) -> None:
    assert await sql_writes.describe(owner) == PAGE.read_text(), "stale: run `make schema`"


@pytest.mark.parametrize(
    ("grant", "named"),
    [
        ("grant update (confidence_level) on public.personality_profiles to anon", "confidence_level"),
        ("grant insert on public.product_signals to authenticated", "public.product_signals.direction"),
        ("grant delete on public.swipes to authenticated", "public.swipes"),
        ("grant execute on function private.refresh_model() to anon", "private.refresh_model"),
        ("create view public.door as table public.profiles; grant insert on public.door to anon", "public.door.email"),
    ],
    ids=["a column", "a table", "deleting", "a function", "a view"],
)
async def test_a_grant_without_a_reason_is_told(owner: asyncpg.Connection[Any], grant: str, named: str) -> None:
    await owner.execute(grant)
    with pytest.raises(ValueError, match=f"no reason .*{named}"):
        await sql_writes.describe(owner)


async def test_a_reason_without_a_grant_is_told(owner: asyncpg.Connection[Any]) -> None:
    await owner.execute("revoke insert (page) on public.analytics_events from anon, authenticated")
    with pytest.raises(ValueError, match=r"without a grant: the column public\.analytics_events\.page$"):
        await sql_writes.describe(owner)


async def test_every_column_that_people_write_has_a_bound(owner: asyncpg.Connection[Any]) -> None:
    found = await sql_writes.columns(owner)
    assert len(found) > 40
    assert [f"{c.table}.{c.name}" for c in found if not c.bounds and c.type not in NOT_BOUNDED] == []
    assert {c.type for c in found} - NOT_BOUNDED == set(HOSTILE)


@pytest.mark.parametrize("caller", [VISITOR, ANNA, ADMIN], ids=lambda caller: caller.label)
async def test_no_column_takes_values_that_others_cannot_read(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any], caller: Caller
) -> None:
    """Values that are too large, too deep, infinite or of nobody: the table refuses them from every role."""
    tried = [
        attempt
        for column in await sql_writes.columns(canaries)
        if column.type in HOSTILE and (column.table != "public.products" or caller is ADMIN)
        for attempt in attempts(column, caller)
    ]
    assert len(tried) > 60
    taken = [label for label, statement in tried if await outcome(login, caller, statement) != "refused"]
    assert taken == []


FORGERIES = {
    "personality_profiles": "confidence_level = 1",
    "personality_assessment_history": "questions_answered = 20",
    "personality_recommendations": "is_purchased = true",
    "recommendations": "propensity = 1e-30, position = -1",
    "idempotency_keys": "result_id = gen_random_uuid()",
    "product_signals": "preference_strength = 0.95",
    "experiment_exposures": "variant = 'b'",
}


@pytest.mark.parametrize("caller", [VISITOR, ANNA, ADMIN], ids=lambda caller: caller.label)
async def test_what_is_derived_is_not_peoples_to_write(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any], caller: Caller
) -> None:
    for table, change in FORGERIES.items():
        assert await outcome(login, caller, f"update public.{table} set {change}") == "refused", table
        assert await outcome(login, caller, insert(table, caller.person or "", with_owner=False)) == "refused", table


async def test_a_swipe_is_undone_now_and_for_good(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any]
) -> None:
    undo = "update public.swipes set undone_at = {}"
    for value in ("now() - interval '1 minute'", "clock_timestamp() + interval '1 minute'", "null"):
        assert await outcome(login, ANNA, undo.format(value)) == "refused"
    assert await outcome(login, ANNA, undo.format("clock_timestamp()")) == "written"
    await canaries.execute(undo.format("now()"))
    assert await outcome(login, ANNA, undo.format("null")) == "nothing"


async def test_a_session_is_named_by_its_own_token_alone(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any]
) -> None:
    session = canary_id("user_sessions", "anna")
    own = Caller(
        "anna",
        "authenticated",
        f'{{"sub":"{person_id("anna")}","role":"authenticated","session_id":"{session}"}}',
        "anna",
    )
    product = canary_id("products", "planted")
    swipe = (
        "insert into public.swipes (client_swipe_id, product_id, direction, session_id)"
        f" values ('named', '{product}', 'right', '{session}')"
    )
    assert await outcome(login, own, swipe) == "written"
    assert await outcome(login, ANNA, swipe) == "refused"


async def test_a_swipe_names_a_recommendation_of_its_product(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any]
) -> None:
    swipe = (
        "insert into public.swipes (client_swipe_id, product_id, direction, recommendation_id)"
        f" values ('named', '{{}}', 'right', '{canary_id('recommendations', 'anna')}')"
    )
    assert await outcome(login, ANNA, swipe.format(canary_id("products", "planted"))) == "written"
    assert await outcome(login, ANNA, swipe.format(canary_id("products", "another"))) == "refused"


async def test_every_personal_table_is_either_listed_or_not_written_by_people(
    owner: asyncpg.Connection[Any],
) -> None:
    listed = {column.table.removeprefix("public.") for column in await sql_writes.columns(owner)}
    assert listed <= set(PERSONAL) | {"products"}
    assert not listed & set(FORGERIES)


EVENTS = """
insert into public.analytics_events (id, event_name, properties)
select private.uuid_v7(), 'x', jsonb_build_object('a', repeat('x', {size})) from generate_series(1, {rows})
"""
LINKS = """
insert into public.gift_links (product_id, message)
select '{product}', repeat('x', 1000) from generate_series(1, {rows})
"""
CONSENTS = """
insert into public.consents (purpose, granted, policy_version)
select 'marketing', true, '1' from generate_series(1, {rows})
"""
RENAME = "update public.profiles set display_name = 'x'"


async def test_what_people_may_write_is_counted(owner: asyncpg.Connection[Any]) -> None:
    """All but the catalogue, which administrators write."""
    counted = {
        (f"public.{row['tgrelid']}", row["is_insert"])
        for row in await owner.fetch(
            "select tgrelid::regclass::text, tgtype & 4 > 0 as is_insert from pg_trigger"
            " where tgfoid = 'private.limit_storage'::regproc and tgparentid = 0"
        )
    }
    written = await sql_writes.columns(owner)
    inserted = {(c.table, True) for c in written if c.inserted_by}
    updated = {(c.table, False) for c in written if c.updated_by}
    granted = {(table.removeprefix("public."), is_insert) for table, is_insert in inserted | updated}
    known = {(table.removeprefix("public."), is_insert) for table, is_insert in counted}
    by_functions = {("affiliate_clicks", True), ("dismissed_reasons", True)}
    assert granted - {("products", True), ("products", False)} == known - by_functions
    assert by_functions < known


@pytest.mark.parametrize("statement", [EVENTS, LINKS, CONSENTS])
async def test_what_a_person_stores_by_sql_is_bounded(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any], statement: str
) -> None:
    """As through Supabase's data API, whose log-in is none of this service."""
    await canaries.execute("delete from private.api_log_ins")
    many = statement.format(size=7000, rows=3000, product=canary_id("products", "planted"))
    few = statement.format(size=7000, rows=10, product=canary_id("products", "planted"))
    is_full = []
    async with login.transaction():
        await become(login, VISITOR)
        for _ in range(10):
            async with login.transaction():
                await login.execute(few)
        for _ in range(8):
            try:
                async with login.transaction():
                    await login.execute(many)
                is_full.append(False)
            except asyncpg.ProgramLimitExceededError:
                is_full.append(True)
                break
        assert is_full[-1], "20 MB a day and anonymous session"
        await become(login, ANNA)
        await login.execute(few)


async def test_rewriting_a_row_over_and_over_counts_too(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any]
) -> None:
    await canaries.execute("delete from private.api_log_ins")
    async with login.transaction():
        await become(login, VISITOR)
        await login.execute(RENAME)
    used = "select sum(bytes) from private.storage_use"
    first = await canaries.fetchval(used)
    async with login.transaction():
        await become(login, VISITOR)
        await login.execute(RENAME)
    assert await canaries.fetchval(used) == 2 * first > 1000


async def test_one_statement_under_the_log_in_of_the_api_stores_no_more_than_a_request(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any]
) -> None:
    product = canary_id("products", "planted")
    for statement in (EVENTS.format(size=7, rows=1001), LINKS.format(product=product, rows=1001)):
        async with login.transaction():
            await become(login, VISITOR)
            with pytest.raises(asyncpg.ProgramLimitExceededError):
                await login.execute(statement)
    async with login.transaction():
        await become(login, VISITOR)
        await login.execute(EVENTS.format(size=7000, rows=100))
    assert await canaries.fetchval("select count(*) from private.storage_use") == 0
