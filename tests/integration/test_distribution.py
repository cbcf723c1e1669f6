"""`aclue verify --distributable`: people's tables could be distributed by person, and a change that prevents it is
found."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import msgspec
import pytest

from db import distribution as rules
from db.embedded import Dsns
from db.queries import QUERIES, Query
from db.verification import distribution, distribution_report
from db.verification.check import Outcome
from db.verification.distribution import Distribution, examine
from db.verification.report import exit_code
from schema.schema import row_types
from settings import load
from tests.bases import FILLED, Base
from tests.conftest import cloned


@pytest.fixture
async def copy(base: Base) -> AsyncIterator[Dsns]:
    """Log-ins to a migrated database with a catalogue."""
    async with cloned(base, FILLED) as dsns:
        yield dsns


async def examined(dsns: Dsns) -> Distribution:
    api, owner = await asyncpg.connect(dsns.api), await asyncpg.connect(dsns.owner or "")
    try:
        return await examine(api, owner, load({}), row_types())
    finally:
        await api.close()
        await owner.close()


def faults(found: Distribution) -> dict[str, list[str]]:
    return {result.check.name: result.faults for result in found.results if result.faults}


async def test_the_tables_of_people_can_be_distributed(copy: Dsns) -> None:
    found = await examined(copy)
    assert faults(found) == {}
    assert {result.outcome for result in found.results} == {Outcome.PASSED}
    assert found.tables["public.profiles"] == "id" and found.tables["public.swipes"] == "user_id"
    assert found.statements > 300 and len(found.everybody) < 40
    assert found.triggers["swipes.swipes_for_whom"] == "for each row"


@pytest.mark.parametrize(
    ("change", "check", "fault"),
    [
        (
            "create table public.wishes (user_id uuid not null, id uuid primary key)",
            "distribution.keys",
            "wishes_pkey of public.wishes lacks user_id",
        ),
        (
            "alter table public.swipes add constraint swipes_note_key unique (client_swipe_id)",
            "distribution.keys",
            "swipes_note_key of public.swipes lacks user_id",
        ),
        (
            "create table public.wishes (user_id uuid primary key, friend_id uuid constraint wishes_friend_fkey "
            "references public.profiles (id))",
            "distribution.foreign_keys",
            "wishes_friend_fkey of wishes",
        ),
        (
            "create table public.guests (id uuid primary key, host uuid constraint guests_host_fkey "
            "references public.profiles (id))",
            "distribution.foreign_keys",
            "guests_host_fkey of guests",
        ),
        (
            "create table public.wishes (user_id uuid, id uuid)",
            "distribution.placed",
            "public.wishes has a column for a person, and is neither distributed nor in COORDINATOR",
        ),
        (
            "alter table public.conversions drop constraint conversions_user_id_fkey",
            "distribution.exceptions",
            "conversions_user_id_fkey",
        ),
    ],
)
async def test_a_change_that_prevents_it_is_found(copy: Dsns, change: str, check: str, fault: str) -> None:
    owner = await asyncpg.connect(copy.owner or "")
    await owner.execute(change)
    await owner.close()
    found = await examined(copy)
    assert faults(found) == {check: [fault]}
    assert exit_code(found.results) == 1


async def test_a_statement_that_forgets_the_person_is_found(copy: Dsns, monkeypatch: pytest.MonkeyPatch) -> None:
    forgetful = Query("swipes.forgetful", "select count(*) from public.swipes where undone_at is null", (), "")
    monkeypatch.setattr(distribution, "QUERIES", {**QUERIES, forgetful.name: forgetful})
    assert faults(await examined(copy)) == {"distribution.statements": ["swipes.forgetful reads swipes of everybody"]}


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("select from public.swipes where user_id = $1::uuid", []),
        ("select from public.swipes where id = $1::uuid", ["swipes"]),
        ("select from public.swipes s join public.gift_links g using (user_id)", ["gift_links", "swipes"]),
        ("select from public.swipes s join public.gift_links g using (user_id) where s.user_id = $1::uuid", []),
        (
            "select from public.swipes s join public.gift_links g on g.id = s.id where s.user_id = $1::uuid",
            ["gift_links"],
        ),
        ("select from public.product_views where user_id = $1::uuid and id > $2::uuid", []),
        ("select from public.product_views where id > $1::uuid", ["product_views"]),
    ],
)
async def test_a_plan_says_whose_rows_are_read(owner: asyncpg.Connection[Any], sql: str, found: list[str]) -> None:
    people = dict.fromkeys(("swipes", "gift_links", "product_views"), "user_id")
    async with owner.transaction():
        assert (await rules.of_everybody(owner, [("it", sql)], people)).get("it", []) == found
    async with owner.transaction():
        await owner.execute("set local enable_hashjoin = off; set local enable_mergejoin = off")
        assert ("it" in await rules.of_everybody(owner, [("it", sql)], people)) == bool(found)


async def test_the_report_is_read_by_machines(copy: Dsns) -> None:
    body = msgspec.json.decode(distribution_report.as_json(await examined(copy)))
    assert body["counts"] == {"passed": 7, "failed": 0, "not run": 0}
    assert body["distributed"]["public.profiles"] == "by id"
    assert body["coordinator"].keys() == rules.COORDINATOR.keys()
    assert set(body["every_shard"]) == set(rules.EVERYBODY)
