"""Who may do what to which table: every table x verb x caller, as Postgres itself answers the API's own log-in.

Every statement is blind: it has no WHERE, so row level security alone decides what it touches.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.security.canaries import (
    ADMIN,
    ANALYST,
    ANNA,
    BEN,
    BOLD_VISITOR,
    CALLED_SERVICE,
    CHANGES,
    EMPTY,
    FINANCE,
    LEDGER,
    LOG_IN,
    NO_JSON,
    NO_OBJECT,
    NO_UUID,
    NOBODY,
    PEOPLE,
    PERSONAL,
    ROWS,
    SERVICE,
    VISITOR,
    Caller,
    become,
    canary_id,
    insert,
    person_id,
)

VERBS = ("select", "insert", "update", "delete", "truncate")

# What people and anonymous sessions may do. own: with the rows of their own; all: with every row; admin: with every row
# when they are authenticated and administrators; books: likewise, or finance; staff: likewise, or analysts; -: not at
# all. service_role may do all of it, except write the tables in NOT_WRITABLE; nobody may truncate.
EXPECTED = {
    # table                           select insert update delete
    "advertisers": "                    staff  -      -      -",
    "affiliate_clicks": "               own    -      -      -",
    "affiliate_networks": "             all    -      -      -",
    "affiliate_redirects": "            -      -      -      -",
    "alerts": "                         staff  -      -      -",
    "analytics_events": "               own    own    -      -",
    "audit_log": "                      admin  -      -      -",
    "brands": "                         all    -      -      -",
    "categories": "                     all    -      -      -",
    "commission_rules": "               staff  -      -      -",
    "consents": "                       own    own    -      -",
    "conversion_clicks": "              books  -      -      -",
    "conversion_reports": "             books  -      -      -",
    "conversions": "                    staff  -      -      -",
    "currencies": "                     all    -      -      -",
    "dismissed_reasons": "              own    -      own    -",
    "erasure_tombstones": "             -      -      -      -",
    "conversion_flags": "               books  -      -      -",
    "exceptions": "                     books  -      -      -",
    "exchange_rates": "                 staff  -      -      -",
    "experiment_arms": "                -      -      -      -",
    "experiment_exposures": "           own    -      -      -",
    "experiments": "                    all    -      -      -",
    "gift_categories": "                all    -      -      -",
    "gift_context_categories": "        all    -      -      -",
    "gift_context_rules": "             all    -      -      -",
    "gift_links": "                     own    own    own    -",
    "idempotency_keys": "               own    -      -      -",
    "impressions": "                    own    -      -      -",
    "import_runs": "                    admin  -      -      -",
    "ledger_decisions": "               books  -      -      -",
    "ledger_entries": "                 books  -      -      -",
    "model_cells": "                    all    -      -      -",
    "model_kinds": "                    all    -      -      -",
    "model_lists": "                    all    -      -      -",
    "model_products": "                 all    -      -      -",
    "model_weights": "                  all    -      -      -",
    "network_accounts": "               -      -      -      -",
    "network_link_rules": "             all    -      -      -",
    "network_pulls": "                  -      -      -      -",
    "network_watermarks": "             -      -      -      -",
    "occasions": "                      own    own    own    own",
    "payments": "                       books  -      -      -",
    "personality_assessment_history": " own    -      -      -",
    "personality_gift_mappings": "      all    -      -      -",
    "personality_tag_mappings": "       all    -      -      -",
    "personality_profiles": "           own    -      -      -",
    "personality_recommendations": "    own    -      -      -",
    "placements": "                     staff  -      -      -",
    "postback_senders": "               -      -      -      -",
    "postbacks": "                      -      -      -      -",
    "privacy_requests": "               own    own    -      -",
    "product_features": "               all    -      -      -",
    "product_offers": "                 all    -      -      -",
    "product_origins": "                admin  -      -      -",
    "product_prices": "                 all    -      -      -",
    "product_signals": "                own    -      -      -",
    "product_views": "                  own    own    -      -",
    "products": "                       all    admin  admin  -",
    "profiles": "                       own    -      own    -",
    "quiz_drafts": "                    own    -      -      -",
    "quiz_questions": "                 all    -      -      -",
    "quiz_texts": "                     all    -      -      -",
    "quiz_traits": "                    all    -      -      -",
    "quiz_versions": "                  all    -      -      -",
    "recipients": "                     own    own    own    own",
    "recommendation_feedback": "        own    own    -      -",
    "recommendation_models": "          all    -      -      -",
    "recommendations": "                own    -      -      -",
    "retailers": "                      all    -      -      -",
    "session_analytics": "              own    -      -      -",
    "session_merges": "                 own    -      -      -",
    "settlements": "                    books  -      -      -",
    "swipes": "                         own    own    own    -",
    "switches": "                       admin  -      -      -",
    "system_logs": "                    admin  -      -      -",
    "trained_models": "                 all    -      -      -",
    "user_sessions": "                  own    -      -      -",
}
CALLERS = (
    LOG_IN,
    NOBODY,
    VISITOR,
    BOLD_VISITOR,
    ANNA,
    BEN,
    ANALYST,
    FINANCE,
    ADMIN,
    SERVICE,
    NO_JSON,
    NO_UUID,
    NO_OBJECT,
    EMPTY,
    CALLED_SERVICE,
)

# Tables that not even service_role may write.
NOT_WRITABLE = {"audit_log", "erasure_tombstones", "network_accounts", "session_merges"}

# Tables of which service_role may not change or not delete rows, and tables whose rows these keep from being deleted.
REFUSED_TO_SERVICE = {
    **dict.fromkeys(
        ("conversion_reports", "exchange_rates", "ledger_decisions", "ledger_entries", "payments"), ("update", "delete")
    ),
    **dict.fromkeys(
        ("conversion_clicks", "conversion_flags", "conversions", "exceptions", "network_watermarks", "settlements"),
        ("delete",),
    ),
    **dict.fromkeys(("affiliate_networks", "alerts", "currencies", "postback_senders", "switches"), ("delete",)),
}

# What has to go before a service_role may empty a table, because it is referred to with ON DELETE RESTRICT.
REFERRED_TO_BY = {
    "affiliate_networks": ["placements", "products", "retailers"],
    "categories": ["products"],
    "currencies": ["products", "affiliate_clicks", "occasions"],
    "quiz_traits": ["quiz_questions"],
    "quiz_versions": ["quiz_questions", "quiz_texts", "quiz_traits"],
    "retailers": ["products"],
}


def expected(caller: Caller, verb: str, table: str) -> str:
    """refused, nobody's rows, one person's, or everybody's."""
    if caller is LOG_IN or verb == "truncate":
        return "refused"
    if caller is SERVICE and (
        (verb != "select" and table in NOT_WRITABLE) or verb in REFUSED_TO_SERVICE.get(table, ())
    ):
        return "refused"
    if caller is SERVICE:
        return "anna" if verb == "insert" and table in PERSONAL else "everybody"
    cell = EXPECTED[table].split()[VERBS.index(verb)]
    nothing = "refused" if verb == "insert" else "nobody"
    match cell:
        case "all":
            return "everybody"
        case "own" if caller in (NO_JSON, NO_UUID):
            return "refused"
        case "own":
            return caller.person or nothing
        case "admin" if caller.role == "authenticated" and caller is not NO_JSON:
            return "everybody" if caller is ADMIN else nothing
        case "books" if caller.role == "authenticated" and caller is not NO_JSON:
            return "everybody" if caller in (ADMIN, FINANCE) else nothing
        case "staff" if caller.role == "authenticated" and caller is not NO_JSON:
            return "everybody" if caller in (ADMIN, FINANCE, ANALYST) else nothing
        case _:
            return "refused"


async def touched(login: asyncpg.Connection[Any], caller: Caller, verb: str, table: str) -> str:
    """Lets the caller try, sees as service_role what came of it, and takes it back."""
    transaction = login.transaction()
    await transaction.start()
    try:
        await become(login, SERVICE)
        needs_room = table in PERSONAL and table not in NOT_WRITABLE
        if verb == "insert" and caller.person and needs_room:  # room for rows of which there is one per person
            await login.execute(f"delete from public.{table} where {PERSONAL[table]} = $1", person_id(caller.person))
        if verb == "delete" and caller is SERVICE and table not in NOT_WRITABLE:
            for other in REFERRED_TO_BY.get(table, []):
                await login.execute(f"delete from public.{other}")
        if verb == "insert" and caller is SERVICE and needs_room:
            await login.execute(f"delete from public.{table} where {PERSONAL[table]} = $1", person_id("anna"))
        before = await rows_of(login, table)
        await become(login, caller)
        try:
            seen = await attempt(login, caller, verb, table)
        except (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidTextRepresentationError):
            return "refused"
        except (asyncpg.ForeignKeyViolationError, asyncpg.RestrictViolationError):
            assert verb in REFUSED_TO_SERVICE.get(table, ())
            return "refused"
        await become(login, SERVICE)
        match verb:
            case "select":
                rows = seen
            case "delete":
                after = await rows_of(login, table)
                rows = [row for row in before if row not in after]
            case _:
                rows = await rows_of(login, table, "where xmin = pg_current_xact_id()::xid")
        return whose(table, rows, of=1 if verb == "insert" else len(before))
    finally:
        await transaction.rollback()


async def attempt(login: asyncpg.Connection[Any], caller: Caller, verb: str, table: str) -> list[Any]:
    match verb:
        case "select":
            return await login.fetch(f"select {PERSONAL.get(table, 'null')} as owner from public.{table}")
        case "insert":
            await login.execute(insert(table, caller.person or "anna", with_owner=caller is SERVICE))
        case "update":
            await login.execute(f"update public.{table} set {CHANGES[table]}")
        case "delete":
            await login.execute(f"delete from public.{table}")
        case "truncate":
            await login.execute(f"truncate public.{table}")
    return []


async def rows_of(login: asyncpg.Connection[Any], table: str, where: str = "") -> list[Any]:
    return await login.fetch(
        f"select {PERSONAL.get(table, 'null')} as owner, tableoid, ctid from public.{table} {where}"
    )


def whose(table: str, rows: list[Any], of: int) -> str:
    if not rows:
        return "nobody"
    if table not in PERSONAL:
        return "everybody" if len(rows) == of else f"{len(rows)} of {of} rows"
    names = {person_id(name): name for name in PEOPLE}
    found = sorted(names.get(row["owner"], "a stranger") for row in rows)
    return "everybody" if found == sorted(PEOPLE) else " and ".join(found)


@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.label)
async def test_blind_statements_touch_what_the_matrix_says_and_nothing_else(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any], caller: Caller
) -> None:
    cells = [(verb, table) for table in EXPECTED for verb in VERBS]
    found = {f"{verb} {table}": await touched(login, caller, verb, table) for verb, table in cells}
    assert found == {f"{verb} {table}": expected(caller, verb, table) for verb, table in cells}


@pytest.mark.parametrize("thief", [NOBODY, VISITOR, BEN, ADMIN], ids=lambda caller: caller.label)
async def test_naming_somebody_elses_rows_does_not_reach_them(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any], thief: Caller
) -> None:
    readable = [table for table in PERSONAL if EXPECTED[table].split()[0] == "own"]

    async def reached(caller: Caller) -> dict[str, int]:
        found = {}
        for table in readable:
            async with login.transaction():
                await become(login, caller)
                found[table] = await login.fetchval(
                    f"select count(*) from public.{table} where {PERSONAL[table]} = $1", person_id("anna")
                )
        return found

    assert await reached(ANNA) == dict.fromkeys(readable, 1)
    assert await reached(thief) == dict.fromkeys(readable, 0)


@pytest.mark.parametrize(
    ("caller", "seen"),
    [(ANNA, ["anna"]), (BEN, ["ben"]), (VISITOR, ["visitor"]), (NOBODY, []), (SERVICE, list(PEOPLE))],
    ids=lambda value: getattr(value, "label", ""),
)
async def test_preferences_are_computed_of_what_the_reader_may_see(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any], caller: Caller, seen: list[str]
) -> None:
    """user_preferences is a view: it has no policies of its own."""
    async with login.transaction():
        await become(login, caller)
        rows = await login.fetch("select user_id, total_swipes from public.user_preferences")
    assert {row["user_id"]: row["total_swipes"] for row in rows} == {person_id(name): 1 for name in seen}


async def test_preferences_are_nobodys_to_write_nor_the_log_ins_to_read(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any]
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await login.fetch("select * from public.user_preferences")
    for verb in ("insert", "update", "delete"):
        for role in ("anon", "authenticated", "service_role"):
            allowed = "select has_table_privilege($1, 'public.user_preferences', $2)"
            assert not await canaries.fetchval(allowed, role, verb)


async def test_rows_cannot_be_handed_to_somebody_else_by_way_of_what_they_refer_to(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any]
) -> None:
    """Ben's feedback may be on Ben's recommendation and not on Anna's, and on the product that it recommended."""
    feedback = """
        insert into public.recommendation_feedback (recommendation_id, product_id, feedback_type)
        values ($1, $2, 'helpful')
    """

    async def feedback_on(recommendation: UUID, product: str = "planted") -> None:
        async with login.transaction():
            await become(login, BEN)
            await login.execute(feedback, recommendation, canary_id("products", product))

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await feedback_on(canary_id("recommendations", "anna"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await feedback_on(canary_id("recommendations", "ben"), "another")
    await feedback_on(canary_id("recommendations", "ben"))


async def test_every_table_of_the_public_schema_has_row_security_and_stands_in_the_matrix(
    owner: asyncpg.Connection[Any],
) -> None:
    tables = await owner.fetch(
        "select relname, relrowsecurity from pg_class"
        " where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition order by relname"
    )
    assert [row["relname"] for row in tables] == sorted(EXPECTED)
    assert set(EXPECTED) == set(ROWS) == set(CHANGES)
    assert [row["relname"] for row in tables if not row["relrowsecurity"]] == []


async def test_every_table_with_a_user_id_is_treated_as_personal(owner: asyncpg.Connection[Any]) -> None:
    with_user = await owner.fetch(
        "select relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'user_id'"
        " where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition"
    )
    assert {row["relname"] for row in with_user} | {"profiles"} == set(PERSONAL) | LEDGER


async def test_partitions_are_nobodys_to_reach_past_their_table(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any]
) -> None:
    partitions = await canaries.fetch(
        "select relname, relrowsecurity from pg_class where relispartition and relkind = 'r'"
    )
    assert len(partitions) > 3
    assert [row["relname"] for row in partitions if not row["relrowsecurity"]] == []
    for caller in (LOG_IN, NOBODY, ANNA, ADMIN, SERVICE):
        for verb in ("table", "delete from", "truncate"):
            for row in partitions:
                transaction = login.transaction()
                await transaction.start()
                await become(login, caller)
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await login.execute(f"{verb} public.{row['relname']}")
                await transaction.rollback()
    async with login.transaction():
        await become(login, ANNA)
        assert len(await login.fetch("table public.product_views")) == 1


async def test_views_run_with_the_rights_of_who_reads_them(owner: asyncpg.Connection[Any]) -> None:
    views = await owner.fetch(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('v', 'm')"
        " and not coalesce(reloptions && array['security_invoker=true', 'security_invoker=on'], false)"
    )
    assert [row["relname"] for row in views] == []


async def test_policies_name_their_verb_and_their_role(owner: asyncpg.Connection[Any]) -> None:
    policies = await owner.fetch("select tablename, policyname, cmd, roles::text[] from pg_policies")
    people = [p for p in policies if set(p["roles"]) & {"anon", "authenticated", "public"}]
    assert len(people) > len(EXPECTED) / 2
    assert [p["policyname"] for p in people if p["cmd"] == "ALL"] == []
    assert [p["policyname"] for p in people if "public" in p["roles"]] == []


async def test_policies_that_write_check_the_new_row(owner: asyncpg.Connection[Any]) -> None:
    writing = await owner.fetch(
        "select policyname, with_check from pg_policies where cmd in ('INSERT', 'UPDATE', 'ALL')"
    )
    assert len(writing) > 20
    assert [p["policyname"] for p in writing if p["with_check"] is None] == []
