"""Who asks in bench/day.py: people of a seeded database, with their signals and tokens."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import asyncpg

import settings as settings_module
from bench import database
from services.tokens import Tokens

SIGNALS = (30, 300)

_PEOPLE = "select id from public.profiles where not is_anonymous order by id limit $1"
# Everybody swipes other products, as evenly over the catalogue as the seed made it; the counts rise from one person to
# the next.
_HISTORY = """
with people as (select id, row_number() over (order by id) - 1 as place from unnest($1::uuid[]) id),
numbered as (select id, row_number() over (order by md5(id::text)) - 1 as place from public.products where is_active),
counted as (select count(*) as products from numbered)
insert into public.swipes (user_id, client_swipe_id, product_id, direction, created_at)
select p.id, 'history-' || n, q.id, (array['right', 'left', 'up', 'right', 'left'])[1 + n % 5]::public.swipe_direction,
  date_trunc('day', now()) - n * interval '9 hours'
from people p
cross join counted c
cross join lateral generate_series(
  1, ($2::int + ($3::int - $2::int) * p.place / greatest(cardinality($1::uuid[]) - 1, 1))::int) n
join numbered q on q.place = (p.place * 7919 + n * 127) % c.products
"""


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks, and about what."""

    dsns: Any
    secret: str
    tokens: list[str]
    products: list[Any]


async def prepare(dsns: Any, secret: str, people: int) -> Asking:
    """People with their signals and tokens. What an earlier run recorded is taken back."""
    superuser = await asyncpg.connect(dsns.superuser)
    try:
        ids = [row["id"] for row in await superuser.fetch(_PEOPLE, people)]
        if len(ids) < people:
            sys.exit(f"there are {len(ids)} people only; remove the folder of the benchmark to seed it again")
        for table in ("impressions", "product_views", "affiliate_clicks", "product_signals", "swipes"):
            await superuser.execute(f"delete from public.{table} where user_id = any ($1)", ids)
        await superuser.execute(_HISTORY, ids, *SIGNALS)
        await superuser.execute(database.SIGNALS, ids)
        await superuser.execute("select private.refresh_model()")
        await superuser.execute("vacuum (analyze)")
        held = await superuser.fetchrow(
            "select min(n), max(n) from (select count(*) as n from public.product_signals where user_id = any ($1)"
            " group by user_id) s",
            ids,
        )
        print(f"{len(ids)} people with {held[0]} to {held[1]} signals", flush=True)
        products = [r[0] for r in await superuser.fetch("select id from public.products where is_active order by id")]
    finally:
        await superuser.close()
    issuer = Tokens(settings_module.load({}), secret)
    return Asking(dsns, secret, [issuer.issue(key, lifetime=24 * 3600)[0] for key in ids], products)
