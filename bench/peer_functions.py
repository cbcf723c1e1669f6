"""Database functions with which the peers do the same work as this server: the statements of sql/queries, in plain
functions that run with the caller's rights.

PostGraphile and the plain Strawberry server have no feed and cannot record swipes, and would be measured doing less.
The functions are recreated for each run, so that they match sql/queries.
"""

from __future__ import annotations

import re
from typing import Any

import asyncpg

import settings
from db.queries import QUERIES, Composed, all_of
from domain.windows import DIVERSITY, WINDOW

_NUMBERED = re.compile(r"\$(\d+)")


def sql_of(query: str | Composed, **expressions: str) -> str:
    """A named query with SQL expressions in place of its parameters."""
    composed = QUERIES[query].fill() if isinstance(query, str) else query
    sql, given = composed.statement(**expressions)
    return _NUMBERED.sub(lambda match: f"({given[int(match[1]) - 1]})", sql)


# What the reasons of a recommendation are written from: this server writes them, the peers hand these out.
_RECOMMENDED = {
    "product_id": "uuid",
    "score": "double precision",
    "shared": "text",
    **dict.fromkeys(("adventurous", "intellectual", "practical", "creative", "social"), "real"),
    **dict.fromkeys(("match", "content", "liking", "added"), "double precision"),
    "category_id": "uuid",
    "brand_id": "uuid",
    "facets": "bigint[]",
}


def _feed() -> str:
    """The first page: the best of a window, in the order of domain/windows.py. Pages that need more than the first
    window, or all products because the candidates are too few, would differ from this server's."""
    conditions = [
        QUERIES["products.is_active"].bind(),
        QUERIES["products.in_stock"].bind(in_stock="true"),
        QUERIES["recommendations.is_not_avoided"].bind(user_id="me"),
        QUERIES["recommendations.is_in_stated_prices"].bind(
            user_id="me", default_currency=f"'{settings.load({}).default_currency}'"
        ),
    ]
    ranked = QUERIES["recommendations.ranked"].fill(
        candidates=QUERIES["recommendations.listed"].bind(filter_facets="array[]::bigint[]"),
        filters=all_of(conditions),
        is_new=QUERIES["recommendations.is_new_to"].bind(user_id="me"),
    )
    sql = sql_of(
        ranked,
        user_id="me",
        until="null",
        model="null",
        arm="0",
        with_hidden="false",
        size=str(WINDOW + 1),
        after_score="null",
        after_number="null",
        boost_facets="'{}'",
        boost_factors="'{}'",
    )
    columns = ", ".join(f"arranged.{name}::{type_}" for name, type_ in _RECOMMENDED.items())
    return f"""
    create function bench.feed(p_size int) returns setof bench.recommended language plpgsql stable as $$
    #variable_conflict use_column
    declare
      me uuid := auth.uid();
    begin
      return query
      select {columns}
      from (
        select firsts.*,
          (score - bottom) / greatest(top - bottom, 1e-9) - {DIVERSITY}::double precision
            * (1 - 1 / row_number() over (partition by category_id order by place)::double precision) as value
        from (
          select seen.*, row_number() over (partition by group_key order by place) as variant,
            min(score) over () as bottom, max(score) over () as top
          from (select page.*, row_number() over (order by score desc, number) as place from ({sql}) page) seen
          where place <= {WINDOW}
        ) firsts
        where variant = 1
      ) arranged
      order by value desc, place limit p_size;
    end $$;
    """


def _record_swipes() -> str:
    record = sql_of(
        "swipes.record",
        user_id="me",
        session_id="null",
        client_swipe_ids="p_client_swipe_ids",
        product_ids="p_product_ids",
        directions="p_directions",
        recommendation_ids="array_fill(null::uuid, array[cardinality(p_product_ids)])",
        contexts="array_fill(null::text, array[cardinality(p_product_ids)])",
    )
    return f"""
    create function bench.record_swipes(p_product_ids uuid[], p_directions text[], p_client_swipe_ids text[])
    returns setof public.swipes language plpgsql volatile as $$
    declare
      me uuid := auth.uid();
      done record;
      stored uuid[] := '{{}}';
    begin
      for done in {record} loop
        stored := stored || done.id;
      end loop;
      return query select s.* from unnest(stored) with ordinality i (id, place)
        join public.swipes s on s.user_id = me and s.id = i.id order by i.place;
    end $$;
    create function bench.record_swipe(p_product_id uuid, p_direction text, p_client_swipe_id text)
    returns public.swipes language sql volatile as $$
      select * from bench.record_swipes(array[p_product_id], array[p_direction], array[p_client_swipe_id])
    $$;
    """


def _schema() -> str:
    columns = ", ".join(f"{name} {type_}" for name, type_ in _RECOMMENDED.items())
    return f"""
    drop schema if exists bench cascade;
    create schema bench;
    grant usage on schema bench to anon, authenticated;
    create type bench.recommended as ({columns});
    comment on type bench.recommended is E'@foreignKey (product_id) references public.products (id)';
    create function bench.me() returns public.profiles language sql stable as $$
      select * from public.profiles where id = (select auth.uid())
    $$;
    create function bench.categories_by_id(p_ids uuid[]) returns setof public.categories language sql stable as $$
      select c.* from unnest(p_ids) with ordinality i (id, place) join public.categories c on c.id = i.id
      order by i.place
    $$;
    """


# Preferences are a view, of which PostGraphile must be told what it is keyed by and refers to.
_RELATIONS = """
comment on view public.user_preferences is
  E'@primaryKey user_id\\n@foreignKey (user_id) references public.profiles (id)';
"""


async def create(superuser: asyncpg.Connection[Any]) -> None:
    """Recreates the schema `bench`."""
    async with superuser.transaction():
        for part in (_schema(), _feed(), _record_swipes(), _RELATIONS):
            await superuser.execute(part)
        await superuser.execute("grant execute on all functions in schema bench to anon, authenticated")
