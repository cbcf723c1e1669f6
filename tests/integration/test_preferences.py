"""Preferences say what the formulas of docs/recommendations.md say of the events, whatever the history."""

from __future__ import annotations

import json
import random
from typing import Any

import asyncpg
import pytest

from db.claims import Claims
from domain import ids
from resolvers import preferences
from tests.conftest import Shop

DAY = 86_400_000_000  # microseconds
TAGS = ("gift", "hand-made", "x", "outdoors", "Ünlikely tag", 'so "called"', "a-b-c")
WAYS = ("left", "right", "up", "down")

# Straight from the events, by the formulas and without an eye for cost.
BY_THE_FORMULAS = """
with signals as materialized (
  select s.* from private.weighted_signals($1, 'infinity', 90) s
),
sums as (
  select f.kind, f.key, sum(s.weight * s.lean) as n, sum(s.weight) as w
  from signals s cross join lateral (
    select 'category' as kind, s.category_id::text as key
    union all select 'brand', s.brand_id::text where s.brand_id is not null
    union all select 'tag', tag from unnest(s.tags) tag
  ) f
  group by 1, 2
),
affinities as (
  select sums.kind, coalesce(c.slug, b.slug, sums.key) as slug,
    coalesce(c.name, b.name, initcap(replace(sums.key, '-', ' '))) as name, round((n / (w + 2))::numeric, 6) as score
  from sums
  left join public.categories c on sums.kind = 'category' and c.id::text = sums.key
  left join public.brands b on sums.kind = 'brand' and b.id::text = sums.key
),
lists as (
  select kind, jsonb_agg(jsonb_build_object('slug', slug, 'name', name, 'score', score)
    order by score desc, slug) as list
  from affinities group by kind
),
likes as (
  select currency, price_minor from signals
  where lean > 0
    and currency = (
      select currency from signals where lean > 0 group by currency order by count(*) desc, currency limit 1)
),
prices as (
  select min(currency)::char(3) as currency, percentile_disc(0.1) within group (order by price_minor) as low,
    percentile_disc(0.9) within group (order by price_minor) as high
  from likes having count(*) >= 3
),
counts as (
  select count(*)::int as total, (count(*) filter (where direction in ('right', 'up')))::int as rights
  from public.swipes where user_id = $1 and undone_at is null
)
select coalesce((select list from lists where kind = 'category'), '[]') as category_preferences,
  coalesce((select list from lists where kind = 'brand'), '[]') as brand_preferences,
  coalesce((select list from lists where kind = 'tag'), '[]') as style_preferences,
  (select low from prices) as min_price_minor, (select high from prices) as max_price_minor,
  (select currency from prices) as price_currency, counts.total as total_swipes, counts.rights as right_swipes,
  round((select count(*) / (count(*) + 10.0) from signals), 4)::double precision as confidence
from counts
"""


async def vary_the_catalogue(owner: asyncpg.Connection[Any], chance: random.Random) -> list[Any]:
    """Products without a brand, in several currencies, with many tags or none; their ids."""
    products = [row["id"] for row in await owner.fetch("select id from public.products order by id")]
    for product in products:
        await owner.execute(
            "update public.products set tags = $2, currency = $3, price_minor = $4,"
            " brand_id = case when $5 then brand_id end where id = $1",
            product,
            chance.sample(TAGS, chance.randrange(6)),
            chance.choice(["GBP", "GBP", "EUR", "USD"]),
            chance.randrange(1, 50_000),
            chance.random() < 0.7,
        )
    return products


async def make_history(owner: asyncpg.Connection[Any], chance: random.Random, user: Any, products: list[Any]) -> None:
    """Up to 150 swipes of more than a year; some undone, many at the very turn of a day."""
    for number in range(chance.choice([1, 3, 20, 150])):
        at_a_turn = chance.randrange(400) * DAY + chance.choice([-1, 0, 1])
        age = chance.choice([at_a_turn, chance.randrange(400 * DAY), 0])
        await owner.execute(
            "insert into public.swipes (user_id, client_swipe_id, product_id, direction, created_at, undone_at)"
            " values ($1, $2, $3, $4, timestamptz '2026-06-01' - $5::bigint * interval '1 us',"
            " case when $6 then now() end)",
            user,
            str(number),
            chance.choice(products),
            chance.choice(WAYS),
            age,
            chance.random() < 0.15,
        )


def plain(row: asyncpg.Record, names: list[str]) -> dict[str, Any]:
    texts = ("category_preferences", "brand_preferences", "style_preferences")
    return {name: json.loads(row[name]) if name in texts else row[name] for name in names}


@pytest.mark.parametrize("seed", range(6))
async def test_what_is_stored_is_what_the_formulas_say(shop: Shop, seed: int) -> None:
    chance = random.Random(seed)
    products = await vary_the_catalogue(shop.owner, chance)
    for _ in range(4):
        subject = (ids.decode(await (await shop.anonymous()).my_id()) or ("", None))[1]
        assert subject is not None
        await make_history(shop.owner, chance, subject, products)
        claims = Claims("anon", subject, raw=f'{{"role":"anon","sub":"{subject}"}}')
        async with shop.services.database.session(claims, read_only=False) as session:
            await preferences.rebuild(session, subject)
        expected = await shop.owner.fetchrow(BY_THE_FORMULAS, subject)
        stored = await shop.owner.fetchrow("select * from public.user_preferences where user_id = $1", subject)
        assert expected is not None and stored is not None
        assert plain(stored, list(expected.keys())) == plain(expected, list(expected.keys()))
