"""No row of a merged session stays behind, in whatever table; nobody merges without the server's own hand."""

from __future__ import annotations

import json
from typing import Any

import asyncpg
import pytest

from tests.security.canaries import ADMIN, ANNA, LOG_IN, PERSONAL, VISITOR, Caller, become, person_id

MERGE = "select outcome, swipes, clicks, views, assessments from private.merge_session($1)"
# Of these there is one per person, or the two are the same: the account's stays, or the newer of the two.
ONE_OF_TWO = {"profiles", "personality_profiles", "personality_recommendations", "product_signals"}
ONE_OF_TWO |= {"experiment_exposures", "quiz_drafts"}

_SUBJECT = json.dumps({"role": "service_role", "sub": str(person_id("anna"))})
SERVICE_FOR_ANNA = Caller("service_role at work for anna", "service_role", _SUBJECT)


@pytest.fixture
async def canaries(canaries: asyncpg.Connection[Any]) -> asyncpg.Connection[Any]:
    await canaries.execute("update public.profiles set is_anonymous = true where id = $1", person_id("visitor"))
    return canaries


async def person_columns(owner: asyncpg.Connection[Any]) -> list[tuple[str, str]]:
    rows = await owner.fetch(
        """
        select c.oid::regclass::text as relation, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid
        where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace) and c.relkind in ('r', 'p')
          and not c.relispartition and a.attnum > 0 and not a.attisdropped and a.atttypid = 'uuid'::regtype
        """
    )
    return [(row["relation"], row["attname"]) for row in rows]


async def test_every_row_goes_over_and_none_stays(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any]
) -> None:
    visitor, anna = person_id("visitor"), person_id("anna")
    async with login.transaction():
        await become(login, SERVICE_FOR_ANNA)
        row = await login.fetchrow(MERGE, visitor)
    assert row and tuple(row) == ("merged", 1, 1, 1, 1)

    columns = await person_columns(canaries)
    assert len(columns) > 60
    left = [
        f"{relation}.{column}"
        for relation, column in columns
        if await canaries.fetchval(f"select exists (select from {relation} where {column} = $1)", visitor)
    ]
    assert left == ["session_merges.session_profile_id"]
    owned = {
        table: await canaries.fetchval(f"select count(*) from public.{table} where {column} = $1", anna)
        for table, column in PERSONAL.items()
    }
    several = {"session_merges": 3}
    assert owned == {table: 1 if table in ONE_OF_TWO else several.get(table, 2) for table in PERSONAL}


async def test_other_people_lose_nothing(canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any]) -> None:
    async def of_others() -> dict[str, list[Any]]:
        return {
            table: await canaries.fetch(
                f"select to_jsonb(t) from public.{table} t where {column} = any($1) order by 1",
                [person_id("ben"), person_id("carol")],
            )
            for table, column in PERSONAL.items()
        }

    before = await of_others()
    async with login.transaction():
        await become(login, SERVICE_FOR_ANNA)
        await login.fetchrow(MERGE, person_id("visitor"))
    assert await of_others() == before
    assert all(before.values())


@pytest.mark.parametrize("caller", [LOG_IN, VISITOR, ANNA, ADMIN], ids=lambda caller: caller.label)
async def test_nobody_merges_by_sql(
    canaries: asyncpg.Connection[Any], login: asyncpg.Connection[Any], caller: Caller
) -> None:
    transaction = login.transaction()
    await transaction.start()
    await become(login, caller)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await login.fetchrow(MERGE, person_id("visitor"))
    await transaction.rollback()
