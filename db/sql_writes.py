"""docs/sql-writes.md from a migrated database: everything that anon or authenticated may write by SQL, and why.

On Supabase these roles can access the tables of schema public, so a grant is an interface that bypasses the checks of
the API. A test fails for a grant without a reason here, and for a reason without a grant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg

COLUMNS: dict[str, dict[str, str]] = {
    "public.analytics_events": {
        "id": "chosen by the client, so that a repeat is harmless; its time has to be of the last 31 days",
        "session_id": "of the token's own session",
        "event_name": "what the front end reports",
        "properties": "what the front end reports",
        "page": "what the front end reports",
    },
    "public.consents": {
        "purpose": "the person's own decision",
        "granted": "the person's own decision",
        "policy_version": "the text that the person was shown",
    },
    "public.dismissed_reasons": {
        "restored_at": "restoring a dismissed reason: at the current time, and it cannot be changed again",
    },
    "public.gift_links": {
        "product_id": "what the person gives",
        "message": "the person's own words",
        "recipient_name": "the person's own words",
        "occasion": "the person's own words",
        "expires_at": "the person decides how long the link works",
        "max_uses": "the person decides how often the link works",
        "revoked_at": "revoking a link: now, and for good",
    },
    "public.occasions": {
        "recipient_id": "one of the person's own recipients",
        "kind": "the person's own notes",
        "name": "the person's own notes",
        "occurs_on": "the person's own notes",
        "is_yearly": "the person's own notes",
        "budget_minor": "what the person means to spend; nothing is computed from it",
        "budget_currency": "what the person means to spend; nothing is computed from it",
    },
    "public.privacy_requests": {
        "kind": "the person asks; a second factor, where there is one, must have been shown",
    },
    "public.product_views": {
        "id": "chosen by the client, so that a repeat is harmless; its time has to be of the last 31 days",
        "product_id": "what the person looked at",
        "session_id": "of the token's own session",
        "source_page": "what the front end reports",
        "view_duration_seconds": "what the front end reports, up to a day",
    },
    "public.products": {
        "name": "administrators maintain the catalogue",
        "description": "administrators maintain the catalogue",
        "price_minor": "administrators maintain the catalogue",
        "currency": "administrators maintain the catalogue",
        "image_url": "administrators maintain the catalogue",
        "images": "administrators maintain the catalogue; a new picture takes the place of all",
        "regular_price_minor": "administrators maintain the catalogue; a new price ends a sale",
        "sale_price_minor": "administrators maintain the catalogue; a new price ends a sale",
        "sale_starts_at": "administrators maintain the catalogue; a new price ends a sale",
        "sale_ends_at": "administrators maintain the catalogue; a new price ends a sale",
        "tags": "administrators maintain the catalogue",
        "in_stock": "administrators maintain the catalogue",
        "is_active": "administrators maintain the catalogue",
        "brand_id": "administrators maintain the catalogue",
        "category_id": "administrators maintain the catalogue",
        "retailer_id": "administrators add products; who sells one never changes",
        "external_id": "administrators add products; the shop's own id never changes",
        "affiliate_url": "administrators add products; where the money goes never changes",
    },
    "public.profiles": {
        "display_name": "what the person wants to be called",
        "preferences": "what the person says of themselves",
    },
    "public.recipients": {
        "name": "the person's own notes",
        "relationship": "the person's own notes",
        "birthday": "the person's own notes",
        "preferences": "the person's own notes",
        "notes": "the person's own notes",
    },
    "public.recommendation_feedback": {
        "recommendation_id": "one that the person acted on; the server wrote it",
        "product_id": "the product of that recommendation",
        "feedback_type": "the person's own judgement",
        "reason": "the person's own judgement",
        "rating": "the person's own judgement",
        "comment": "the person's own words",
    },
    "public.swipes": {
        "client_swipe_id": "chosen by the client, so that a repeat is harmless; unique per person",
        "product_id": "what the person swiped",
        "session_id": "of the token's own session",
        "direction": "the person's own judgement; its strength follows from it",
        "recommendation_id": "one of this product that the server wrote for the person",
        "interaction_context": "what the front end reports",
        "undone_at": "taking a swipe back: now, and for good",
    },
}
DELETES = {
    "public.occasions": "the person's own notes",
    "public.recipients": "the person's own notes, with their occasions",
}
FUNCTIONS = {
    "private.create_affiliate_click": "price, rate and address come from the catalogue, the person from the token",
    "private.create_gift_link_click": "the same, and the link's uses are counted under its lock",
    "private.dismiss_reason": "the caller's own choice, of what the catalogue has; at most 200 of them",
    "private.forget_withdrawn": "deletes what the caller's newest consents no longer allow, and what followed from it",
    "private.hold_swipe": "writes nothing: holds the product of the caller's own swipe to the end of the transaction",
    "private.mark_personality_due": "marks the caller's personality to be recomputed from their quiz and swipes",
    "private.refresh_product_features": "recomputes a product's features; for administrators only",
    "private.sync_signals": "recomputes the caller's signals from their swipes",
}


@dataclass(frozen=True)
class WritableColumn:
    """A column that anon or authenticated may write; `bounds` are the constraints and policies that check its value."""

    table: str
    name: str
    type: str
    inserted_by: tuple[str, ...]
    updated_by: tuple[str, ...]
    bounds: tuple[str, ...]


async def columns(connection: asyncpg.Connection[Any]) -> list[WritableColumn]:
    """By table, then in the table's own order."""
    return [
        WritableColumn(
            row["table"],
            row["name"],
            row["type"],
            tuple(row["inserted_by"]),
            tuple(row["updated_by"]),
            tuple(row["bounds"]),
        )
        for row in await connection.fetch(_COLUMNS, _PEOPLE)
    ]


async def deletes(connection: asyncpg.Connection[Any]) -> list[str]:
    """Tables whose rows these roles may delete."""
    return [row["table"] for row in await connection.fetch(_DELETES, _PEOPLE)]


async def functions(connection: asyncpg.Connection[Any]) -> list[str]:
    """Functions that write with their owner's rights and that these roles may call."""
    return [row["name"] for row in await connection.fetch(_FUNCTIONS, _PEOPLE)]


async def describe(connection: asyncpg.Connection[Any]) -> str:
    """The page. Raises ValueError where a grant has no reason, or a reason no grant."""
    found, removable, callable_ = await columns(connection), await deletes(connection), await functions(connection)
    _compare("column", {f"{c.table}.{c.name}" for c in found}, {f"{t}.{c}" for t in COLUMNS for c in COLUMNS[t]})
    _compare("table to delete from", set(removable), set(DELETES))
    _compare("function", set(callable_), set(FUNCTIONS))
    return "\n".join(_page(found, removable, callable_)) + "\n"


def _compare(kind: str, granted: set[str], explained: set[str]) -> None:
    if unexplained := sorted(granted - explained):
        raise ValueError(f"no reason in db/sql_writes.py for the {kind} {', '.join(unexplained)}")
    if stale := sorted(explained - granted):
        raise ValueError(f"a reason in db/sql_writes.py without a grant: the {kind} {', '.join(stale)}")


def _page(found: list[WritableColumn], removable: list[str], callable_: list[str]) -> Iterator[str]:
    yield "# What a person may write by SQL"
    yield ""
    yield "Read this before you grant anything to anon or authenticated, or to find out what a caller can write without"
    yield "the API. It is generated by `make schema` from the grants of the migrated database and the reasons in"
    yield "`db/sql_writes.py`; do not edit."
    yield ""
    yield "On Supabase the tables of schema public are exposed to these two roles, so each grant is an interface."
    yield "People write facts: what they did, decided or noted. What is derived from facts (scores, confidence,"
    yield "preferences, recommendations, outcomes, idempotency keys) is written by functions that compute it, or by"
    yield "service_role."
    yield "Row level security confines every line below to the person's own rows, and `products` to administrators."
    yield "How much a person writes in a day is bounded by triggers (`private.limit_storage()`, `docs/limits.md`)."
    yield ""
    yield "## Columns"
    yield ""
    yield "| table | column | insert | update | bounded by | why |"
    yield "|---|---|---|---|---|---|"
    for column in found:
        bounds = ", ".join(column.bounds) or f"its type, {column.type}"
        why = COLUMNS[column.table][column.name]
        cells = (
            column.table.removeprefix("public."),
            column.name,
            _roles(column.inserted_by),
            _roles(column.updated_by),
        )
        yield f"| {' | '.join(cells)} | {bounds} | {why} |"
    yield ""
    yield "## Rows that may be deleted"
    yield ""
    yield "| table | why |"
    yield "|---|---|"
    for table in removable:
        yield f"| {table.removeprefix('public.')} | {DELETES[table]} |"
    yield ""
    yield "## Functions that write with their owner's rights"
    yield ""
    yield "They take no score and no time, and act for `auth.uid()` alone."
    yield ""
    yield "| function | why |"
    yield "|---|---|"
    for name in callable_:
        yield f"| {name} | {FUNCTIONS[name]} |"


def _roles(roles: tuple[str, ...]) -> str:
    return ", ".join(roles) or "-"


_PEOPLE = ["anon", "authenticated"]
# The bounds: checks and foreign keys on the column, and policies for writing whose condition names it.
_COLUMNS = """
select * from (
  select n.nspname || '.' || c.relname as "table", a.attname as name, format_type(a.atttypid, a.atttypmod) as type,
    array(select r from unnest($1::text[]) r where has_column_privilege(r, c.oid, a.attnum, 'insert')) as inserted_by,
    array(select r from unnest($1::text[]) r where has_column_privilege(r, c.oid, a.attnum, 'update')) as updated_by,
    array(
      select k.conname::text from pg_constraint k
      where k.conrelid = c.oid and k.contype in ('c', 'f') and a.attnum = any (k.conkey)
      union
      select p.polname::text from pg_policy p join pg_depend d on d.objid = p.oid and d.classid = 'pg_policy'::regclass
      where d.refclassid = 'pg_class'::regclass and d.refobjid = c.oid and d.refobjsubid = a.attnum
        and p.polrelid = c.oid and p.polcmd in ('a', 'w')
        and exists (select from unnest($1::text[]) r where r::regrole = any (p.polroles))
      order by 1) as bounds
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  where c.relkind in ('r', 'p', 'v', 'f') and n.nspname not in ('pg_catalog', 'information_schema')
    and not exists (select from pg_depend e where e.objid = c.oid and e.deptype = 'e')
  order by 1, a.attnum
) columns
where inserted_by || updated_by <> '{}'
"""
_DELETES = """
select n.nspname || '.' || c.relname as "table"
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'f') and n.nspname not in ('pg_catalog', 'information_schema')
  and exists (select from unnest($1::text[]) r where has_table_privilege(r, c.oid, 'delete'))
order by 1
"""
_FUNCTIONS = """
select distinct n.nspname || '.' || p.proname as name
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname in ('public', 'private') and p.prosecdef and p.provolatile = 'v'
  and exists (select from unnest($1::text[]) r where has_function_privilege(r, p.oid, 'execute'))
  and not exists (select from pg_depend e where e.objid = p.oid and e.deptype = 'e')
order by 1
"""
