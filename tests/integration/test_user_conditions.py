"""Every statement that touches rows of people names the person, and so does not lean on row level security alone.

Each is planned for the owner, whom no policy binds, on empty tables with sequential scans forbidden: what then reads a
table of people without its user_id in the condition of an index would read everybody's.
"""

from __future__ import annotations

import re
from typing import Any

import asyncpg
import msgspec
import pytest

import server  # noqa: F401  declares every row type
from db.distribution import EVERYBODY, OWNERS
from db.documentation import is_statement, statement_of
from db.queries import QUERIES, Query
from db.query_plans import nodes, plan_of
from db.session import Session
from db.verification.distribution import make_temporary_tables
from schema.node import NODES
from settings import Settings
from tests.conftest import Shop
from tests.security.canaries import PERSONAL

PLANNED = ("select", "insert", "update", "delete", "with")
FUNCTIONS = {
    "app_role": "whether the caller's own profile is there, by its id",
    "avoided_categories": "the profile of this id",
    "audit": "a trigger: the row that changed, and the token's person",
    "change_role": "an admin or the operator: the person is found by their e-mail, other admins are counted",
    "match_conversion": "an import: the click's id finds it, and the click its person's others",
    "keep_report": "a trigger on the ledger: whether the report's click is gone",
    "count_events": "an analyst counts everybody's",
    "count_impressions": "likewise",
    "delete_profile": "the profile of this id, which it locks first",
    "dismiss_reason": "the caller's own; their profile is found by its id, which locks it",
    "everybodys_feedback": "an analyst reads everybody's",
    "follow_affiliate_click": "anybody with a link may follow it: its click finds the person",
    "record_affiliate_redirect": "anybody with a link may follow it: its click finds the person",
    "link_of_affiliate_click": "anybody with a link may follow it: its click finds the person",
    "route_affiliate_click": "likewise",
    "substitute_affiliate_click": "likewise",
    "last_followed": "an import: the click's id finds it",
    "impression_outcomes": "for count_impressions and a command of the owner: everybody's",
    "funnel_facts": "figures: what everybody did on a day",
    "visits_of": "figures: the visits of everybody on a day",
    "note_category_days": "a trigger: on which days anybody did something with a product",
    "note_left_clicks": "a trigger: the clicks that sales had before",
    "note_outcomes": "the impressions of the people that triggers name",
    "refresh_rollups": "figures: what was counted of everybody's visits of a day",
    "rollups_differ": "figures: what was counted of everybody's visits of a day",
    "rollup_days": "the first day on which anybody was here",
    "hold_swipe": "the caller's own profile, by its id",
    "mark_personality_due": "the caller's own profile, by its id",
    "move_merged_rows": "merging products: what everybody did with one of them",
    "merge_session": "two people: every statement names one of them, or both",
    "person_of_email": "the operator's commands and change_role: the person is found by their e-mail",
    "note_purchase": "a trigger on the ledger: what the conversion's person was recommended",
    "note_conversion": "a trigger on the ledger: its click is found by its id",
    "person_of_click": "finance reads whose click a sale came from: the click's id finds it",
    "people_with_roles": "a command of the owner lists admins and analysts",
    "renew_signals": "pairs of a person and a product, which a lateral names",
    "row_is_double": "text of the condition by which merged rows are found, which names the person of both",
    "refresh_model": "features of the products that anybody has a signal of",
    "purge_anonymous": "retention: a job over all idle sessions",
    "purge_keys": "retention, likewise of everybody's",
    "purge_redirects": "retention, likewise",
    "purge_sessions": "retention, likewise",
    "purge_visits": "retention, likewise",
    "note_for_whom": "a trigger: the person of the row that is inserted",
    "stated_affinities": "the profile of this id",
    "stated_currency": "the profile of this id",
    "stated_prices": "the profile of this id",
    "swiped_since": "a job asks whether anybody swiped",
    "sync_signals": "the caller, whose id a variable holds: it is read once",
    "sync_profile": "a trigger: the row of the log-in that changed",
    "postpone_personality": "a job over the people who are due",
    "update_personality_from_behaviour": "a job over the people who are due",
    "use_gift_link": "anybody with a link may use it: its id finds it",
}


def unbound(plan: dict[str, Any]) -> list[str]:
    """Tables of people that the plan reads without their person."""
    found = []
    for node in nodes(plan):
        table = re.sub(r"_(default|\d{6})$", "", node.get("Relation Name", ""))
        condition = node.get("Index Cond", "") + node.get("Recheck Cond", "")
        if "(id = " in condition:  # a row found by its own id; that it is the person's is looked at afterwards
            condition += node.get("Filter", "")
        reads_people = table in PERSONAL and node["Node Type"] != "ModifyTable"
        if reads_people and not re.search(rf"\b{PERSONAL[table]} = ", condition):
            found.append(table)
    return sorted(set(found))


async def for_everybody(owner: asyncpg.Connection[Any], queries: list[Query]) -> dict[str, list[str]]:
    """{block: tables of people it would read in full}."""
    found = {}
    async with owner.transaction():
        await make_temporary_tables(owner)
        for setting in ("enable_seqscan = off", "enable_bitmapscan = off", "plan_cache_mode = force_generic_plan"):
            await owner.execute(f"set local {setting}")
        for query in queries:
            tables = unbound(await plan_of(owner, statement_of(query)))
            if tables:
                found[query.name] = tables
    return found


def plannable(query: Query) -> bool:
    return is_statement(query) and query.text.split(maxsplit=1)[0].lower() in PLANNED


async def test_every_statement_on_rows_of_people_names_the_person(owner: asyncpg.Connection[Any]) -> None:
    queries = [query for query in QUERIES.values() if plannable(query) and not query.name.startswith(OWNERS)]
    assert len(queries) > 40
    assert set(await for_everybody(owner, queries)) == set(EVERYBODY)


async def test_a_statement_that_forgot_the_person_would_be_found(owner: asyncpg.Connection[Any]) -> None:
    forgetful = Query("swipes.forgetful", "select count(*) from public.swipes where undone_at is null", (), "")
    assert await for_everybody(owner, [forgetful]) == {"swipes.forgetful": ["swipes"]}


def test_every_row_type_of_people_declares_its_owner() -> None:
    rows = [node.ROW for node in NODES.values() if hasattr(node, "ROW")]  # a recommendation is signed, not stored
    declared = {row.table.removeprefix("public."): row.owner for row in rows}
    of_people = {table: owner for table, owner in declared.items() if table in PERSONAL and table != "profiles"}
    assert len(of_people) > 3
    assert of_people == {table: PERSONAL[table] for table in of_people}


@pytest.fixture(params=[True, False], ids=["plans", "loaders"])
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    return msgspec.structs.replace(settings, plans=request.param)


async def test_plans_and_loaders_name_the_person(
    shop: Shop, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = await shop.anonymous()
    await anna.take_quiz({"adv"})
    swipe = (await anna.swipe((await anna.product("Camping 1"))["id"]))["swipe"]["id"]
    run, seen = Session.run, []

    async def note(self: Session, sql: str, arguments: Any) -> Any:
        seen.append(sql)
        return await run(self, sql, arguments)

    monkeypatch.setattr(Session, "run", note)
    monkeypatch.setattr(Session, "run_last", note)
    lists = "totalCount pageInfo { endCursor } nodes { id }"
    await anna.ask(
        f"query ($id: ID!) {{ node(id: $id) {{ id }} me {{ preferences {{ totalSwipes }} swipes(first: 2) {{ {lists} }}"
        f" affiliateClicks {{ {lists} }} personality {{ history {{ {lists} }} }} }} }}",
        id=swipe,
    )
    touching = [sql for sql in seen if re.search(rf"public\.({'|'.join(PERSONAL)})\b", sql)]
    assert len(touching) >= (2 if settings.plans else 8)
    own = (
        r"\b\w+\.user_id = (\$\d|parent\.key|p\d+\.id)"
        r"|from public\.profiles (r where r\.id = any|(p\d+) .*where \3\.id =)"
    )
    assert [sql for sql in touching if not re.search(own, sql)] == []


async def test_every_function_that_touches_rows_of_people_names_the_person(owner: asyncpg.Connection[Any]) -> None:
    rows = await owner.fetch("select proname, prosrc from pg_proc where pronamespace = 'private'::regnamespace")
    touching = {
        row["proname"]: row["prosrc"]
        for row in rows
        if re.search(rf"public\.({'|'.join(PERSONAL)})\b", re.sub(r"insert into public\.\w+", "", row["prosrc"]))
    }
    assert len(touching) > 4
    reads = r"(from|join|update|delete from) public\.(\w+)"
    careless = {
        name
        for name, source in touching.items()
        if len(re.findall(r"user_id = (auth\.uid\(\)|p_user)", source))
        < sum(table in PERSONAL for _, table in re.findall(reads, source))
    }
    assert careless == set(FUNCTIONS)
