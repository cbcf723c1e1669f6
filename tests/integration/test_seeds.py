"""`aclue seed`: the same options give the same rows, in step with each other, and leave the tables as they were."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from db import seeds
from db.bulk import without_indexes
from db.claims import Claims
from db.database import Database
from db.embedded import Dsns
from db.seeds import SeedRefused
from domain.seeds import SeedPlan
from resolvers import preferences
from tests.conftest import Shop

UNTIL = seeds.midnight(datetime.now(UTC))
PLAN = SeedPlan(users=60, products=80, swipes=2_000, seed=5, until=UNTIL)
SHAPE = """
select 'constraint', conrelid::regclass::text, conname::text, pg_get_constraintdef(oid), convalidated
from pg_constraint where connamespace = 'public'::regnamespace and conparentid = 0
union all
select 'index', i.indrelid::regclass::text, i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid), i.indisvalid
from pg_index i join pg_class c on c.oid = i.indexrelid
where c.relnamespace = 'public'::regnamespace and not c.relispartition
union all
select 'trigger', tgrelid::regclass::text, tgname::text, pg_get_triggerdef(oid), tgenabled = 'O'
from pg_trigger where not tgisinternal
order by 1, 2, 3
"""
FILLED = (
    "profiles", "products", "personality_profiles", "personality_assessment_history", "swipes", "product_signals",
    "product_views", "affiliate_clicks", "user_preferences",
)  # fmt: skip


async def shape(owner: asyncpg.Connection[Any]) -> list[tuple[Any, ...]]:
    """Every constraint, index and trigger."""
    return [tuple(row) for row in await owner.fetch(SHAPE)]


async def digest(owner: asyncpg.Connection[Any]) -> dict[str, str]:
    """All rows of each table, without the columns that say when or where this database wrote them."""
    found = {}
    for table in FILLED:
        loose = "number category_id brand_id retailer_id updated_at search_names search popularity"
        rows = await owner.fetch(
            f"select (to_jsonb(t) - string_to_array('{loose}', ' '))::text from public.{table} t order by t::text"
        )
        texts = sorted(row[0] for row in rows)
        assert texts, table
        found[table] = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    return found


async def without_rows(owner: asyncpg.Connection[Any]) -> None:
    for table in ("public.profiles", "public.products", "auth.users"):  # TRUNCATE would reach the ledger
        await owner.execute(f"delete from {table}")
    await owner.execute("delete from private.applied_files where name like 'seed %'")


async def test_the_same_options_give_the_same_rows_and_another_seed_others(owner: asyncpg.Connection[Any]) -> None:
    await seeds.load(owner, PLAN)
    first = await digest(owner)
    await without_rows(owner)
    await seeds.load(owner, PLAN)
    assert await digest(owner) == first
    await without_rows(owner)
    await seeds.load(owner, SeedPlan(60, 80, 2_000, 6, UNTIL))
    other = await digest(owner)
    assert not {table for table in FILLED if other[table] == first[table]}


async def test_there_are_as_many_as_asked_for_and_none_in_the_default_partition(owner: asyncpg.Connection[Any]) -> None:
    done = await seeds.load(owner, PLAN)
    for table, rows in done.rows.items():
        assert await owner.fetchval(f"select count(*) from public.{table}") == rows, table
    assert (done.rows["profiles"], done.rows["products"], done.rows["swipes"]) == (60, 80, 2_000)
    assert await owner.fetchval("select count(*) from public.product_views_default") == 0
    assert await owner.fetchval("select count(*) from public.product_features") == await owner.fetchval(
        "select count(*) from public.products p where is_active"
        " or exists (select from public.product_signals s where s.product_id = p.id)"
    )


async def test_ids_carry_the_times_of_their_rows(owner: asyncpg.Connection[Any]) -> None:
    await seeds.load(owner, PLAN)
    for table, at in (("swipes", "created_at"), ("product_views", "view_timestamp"), ("profiles", "created_at")):
        differs = f"left(id::text, 13) <> left(private.uuid_v7_floor({at})::text, 13)"
        assert await owner.fetchval(f"select count(*) from public.{table} where {differs}") == 0, table
    oldest, newest = await owner.fetchrow("select min(created_at), max(created_at) from public.swipes") or (None, None)
    assert UNTIL - timedelta(days=180) <= oldest < newest < UNTIL
    assert await owner.fetchval("select max(created_at) from public.profiles") < oldest


async def test_signals_and_preferences_are_what_the_service_would_have_written(
    owner: asyncpg.Connection[Any], database: Database
) -> None:
    await seeds.load(owner, PLAN)
    signals = "select * from public.product_signals order by user_id, product_id"
    tastes = "select * from public.user_preferences order by user_id"
    before = await owner.fetch(signals), await owner.fetch(tastes)
    assert len(before[1]) > 50
    for row in before[1]:
        user: UUID = row["user_id"]
        claims = Claims("authenticated", user, raw=f'{{"role":"authenticated","sub":"{user}"}}')
        async with database.session(claims, read_only=False) as session:
            await preferences.rebuild(session, user)
    assert await owner.fetch(signals) == before[0]

    def plain(rows: list[Any]) -> list[dict[str, Any]]:
        return [{name: value for name, value in row.items() if name != "updated_at"} for row in rows]

    assert plain(await owner.fetch(tastes)) == plain(before[1])


async def test_people_who_were_made_up_can_use_the_service(shop: Shop) -> None:
    await seeds.load(shop.owner, PLAN)
    user = await shop.owner.fetchval("select user_id from public.user_preferences order by total_swipes desc limit 1")
    seen = await shop.client(shop.token(user)).ask("{ me { preferences { totalSwipes } swipes { totalCount } } }")
    assert seen["me"]["preferences"]["totalSwipes"] == seen["me"]["swipes"]["totalCount"] > 30


async def test_some_swipe_and_some_products_are_swiped_much_more_than_others(owner: asyncpg.Connection[Any]) -> None:
    await seeds.load(owner, PLAN)
    for column in ("user_id", "product_id"):
        counts = [
            r[0] for r in await owner.fetch(f"select count(*) from public.swipes group by {column} order by 1 desc")
        ]
        assert sum(counts[: len(counts) // 5]) > 0.4 * 2_000, column
    likes = await owner.fetchval("select count(*) from public.swipes where direction in ('right', 'up')")
    assert 0.4 < likes / 2_000 < 0.55


async def test_what_made_up_people_swipe_counts_for_others(owner: asyncpg.Connection[Any]) -> None:
    await seeds.load(owner, PLAN)
    said = await owner.fetchval("select count(*) from public.product_signals where preference_strength is not null")
    assert said > 1_000
    assert await owner.fetchval("select count(*) from private.trusted_signals where weight = 1") == said


async def test_what_is_there_stays_and_a_seed_is_loaded_once(shop: Shop) -> None:
    anna = await shop.account()
    await anna.swipe((await anna.product("Camping 1"))["id"])
    mine = "select p, s from profiles p join swipes s on s.user_id = p.id where p.email like '%people.example'"
    before = await shop.owner.fetch(mine)
    await seeds.load(shop.owner, PLAN)
    counted = await shop.owner.fetchval("select count(*) from public.swipes")
    with pytest.raises(SeedRefused, match="seed 5 was loaded"):
        await seeds.load(shop.owner, PLAN)
    assert await shop.owner.fetchval("select count(*) from public.swipes") == counted == 2_001
    assert await shop.owner.fetch(mine) == before


async def test_a_bulk_load_rebuilds_indexes_and_leaves_nothing_changed(
    owner: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seeds, "BULK_SWIPES", 1)
    await owner.execute("comment on index public.swipes_product_id_idx is 'kept'")
    before = await shape(owner)
    steps: list[str] = []
    await seeds.load(owner, PLAN, steps.append)
    assert {"swipes_pkey", "swipes_product_id_idx", "product_views_product_id_fkey"} <= set(steps)
    assert await shape(owner) == before
    assert (
        await owner.fetchval("select obj_description('public.swipes_product_id_idx'::regclass, 'pg_class')") == "kept"
    )
    unindexed = "select count(*) from pg_inherits i where inhparent = 'product_views'::regclass and not exists (" \
        "select from pg_index x where x.indrelid = i.inhrelid and x.indisprimary and x.indisvalid)"  # fmt: skip
    assert await owner.fetchval(unindexed) == 0


@pytest.mark.drill
async def test_an_interrupted_load_leaves_everything_as_it_was(
    owner: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seeds, "BULK_SWIPES", 1)
    before = await shape(owner)

    def interrupt(step: str) -> None:
        if step == "affiliate_clicks":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await seeds.load(owner, PLAN, interrupt)
    assert await shape(owner) == before
    assert await owner.fetchval("select count(*) from public.profiles") == 0
    await seeds.load(owner, PLAN)


async def test_indexes_are_dropped_in_a_transaction_only(owner: asyncpg.Connection[Any]) -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        async with without_indexes(owner, ["public.swipes"]):
            pass


async def test_a_seed_gives_way_to_those_who_use_the_tables(
    owner: asyncpg.Connection[Any], dsns: Dsns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seeds, "BULK_SWIPES", 1)
    monkeypatch.setattr(seeds, "SETTINGS", (("lock_timeout", "100ms"),))
    reader = await asyncpg.connect(dsns.owner)
    async with reader.transaction():
        await reader.fetch("select * from public.swipes")
        with pytest.raises(SeedRefused, match="stop the server"):
            await seeds.load(owner, PLAN)
    await reader.close()
    await seeds.load(owner, PLAN)


async def test_swipes_need_somebody_and_something(owner: asyncpg.Connection[Any]) -> None:
    with pytest.raises(SeedRefused, match="users and products"):
        await seeds.load(owner, SeedPlan(0, 10, 10, 1, UNTIL))
