"""Rules that every table keeps, read from the catalogue of the migrated database."""

from __future__ import annotations

from typing import Any, TypeAlias

import asyncpg
from graphql import GraphQLObjectType, is_non_null_type

from db.rows import Column
from engine.fields import SchemaFields
from schema.schema import build
from tests.security.canaries import CHANGES, plant

Connection: TypeAlias = "asyncpg.Connection[Any]"
OURS = "('public', 'private', 'auth')"
TABLES = f"""
select c.oid, c.oid::regclass::text as name from pg_class c
where c.relnamespace::regnamespace::text in {OURS} and c.relkind in ('r', 'p')
"""
USER_SCOPED = f"""
select t.oid, t.name, a.attnum as user_id from ({TABLES}) t
join pg_attribute a on a.attrelid = t.oid and a.attname = 'user_id' and not a.attisdropped
where t.name not like 'auth.%'
"""

# On purpose: a name of the reference documents; and the ledger, which outlives people.
NAMED_BY_THE_DOCUMENTS = ["valid_confidence"]
NOT_BY_PERSON = ["conversions"]
UNIQUE_FOR_ALL = [
    "conversions_pkey",
    "conversions_reference_key",
]


async def offenders(owner: Connection, query: str) -> list[str]:
    return [row[0] for row in await owner.fetch(query)]


async def test_there_are_tables_to_look_at(owner: Connection) -> None:
    assert len(await owner.fetch(TABLES)) > 25
    assert len(await owner.fetch(USER_SCOPED)) > 10


async def test_every_foreign_key_is_covered_by_an_index_that_begins_with_it(owner: Connection) -> None:
    found = await offenders(
        owner,
        f"""
        select conrelid::regclass || '.' || conname from pg_constraint c
        where contype = 'f' and connamespace::regnamespace::text in {OURS} and not exists (
          select from pg_index i
          where i.indrelid = c.conrelid and i.indisvalid and i.indpred is null
            and (select array_agg(key order by key) from unnest((i.indkey::int2[])[0:cardinality(c.conkey) - 1]) key)
              = (select array_agg(key order by key) from unnest(c.conkey) key))
        """,
    )
    assert found == []


async def test_every_foreign_key_says_what_becomes_of_its_row(owner: Connection) -> None:
    found = await offenders(
        owner,
        f"""
        select conrelid::regclass || '.' || conname from pg_constraint
        where contype = 'f' and confdeltype = 'a' and connamespace::regnamespace::text in {OURS}
        """,
    )
    assert found == []


async def test_a_key_that_is_set_null_keeps_its_owner(owner: Connection) -> None:
    found = await offenders(
        owner,
        f"""
        select conrelid::regclass || '.' || conname from pg_constraint c
        where contype = 'f' and confdeltype = 'n' and connamespace::regnamespace::text in {OURS} and exists (
          select from pg_attribute a where a.attrelid = c.conrelid and a.attnotnull
            and a.attnum = any (coalesce(c.confdelsetcols, c.conkey)))
        """,
    )
    assert found == []


async def test_every_table_has_a_primary_key(owner: Connection) -> None:
    found = await offenders(
        owner,
        f"""
        select name from ({TABLES}) t
        where not exists (select from pg_index where indrelid = t.oid and indisprimary)
        """,
    )
    assert found == []


async def test_every_constraint_has_a_name_that_somebody_chose(owner: Connection) -> None:
    found = await offenders(
        owner,
        f"""
        select conrelid::regclass || '.' || conname from pg_constraint
        where connamespace::regnamespace::text in {OURS} and contype <> 'n'
          and conname ~ '_(check|key|fkey|pkey|excl)\\d+$'
        """,
    )
    assert found == []


async def test_no_two_constraints_share_a_name(owner: Connection) -> None:
    """The name becomes the error that somebody reads. Partitions have those of their parent."""
    found = await offenders(
        owner,
        """
        select conname from pg_constraint
        where connamespace = 'public'::regnamespace and contype <> 'n' and conparentid = 0 and coninhcount = 0
        group by conname having count(*) > 1
        """,
    )
    assert found == NAMED_BY_THE_DOCUMENTS


async def test_what_belongs_to_somebody_has_their_id_first_in_its_key(owner: Connection) -> None:
    found = await offenders(
        owner,
        f"""
        select t.name from ({USER_SCOPED}) t join pg_index i on i.indrelid = t.oid and i.indisprimary
        where i.indkey[0] <> t.user_id
        """,
    )
    assert sorted(found) == NOT_BY_PERSON


async def test_what_is_unique_among_peoples_rows_is_so_per_person(owner: Connection) -> None:
    found = await offenders(
        owner,
        f"""
        select i.indexrelid::regclass::text from ({USER_SCOPED}) t join pg_index i on i.indrelid = t.oid
        where i.indisunique and t.user_id <> all (i.indkey)
        """,
    )
    assert sorted(found) == UNIQUE_FOR_ALL


async def test_what_belongs_to_somebody_is_never_without_them(owner: Connection) -> None:
    found = await offenders(
        owner,
        f"""
        select t.name from ({USER_SCOPED}) t join pg_attribute a on a.attrelid = t.oid and a.attnum = t.user_id
        where not a.attnotnull or a.atttypid <> 'uuid'::regtype
        """,
    )
    assert found == ["conversions"]


async def test_every_moment_knows_its_time_zone(owner: Connection) -> None:
    found = await offenders(
        owner,
        f"""
        select attrelid::regclass || '.' || attname from pg_attribute
        where attrelid in (select oid from ({TABLES}) t)
          and atttypid in ('timestamp'::regtype, 'time'::regtype)
        """,
    )
    assert found == []


async def test_money_is_counted_in_whole_minor_units(owner: Connection) -> None:
    found = await offenders(
        owner,
        f"""
        select attrelid::regclass || '.' || attname from pg_attribute
        where attrelid in (select oid from ({TABLES}) t) and atttypid <> 'bigint'::regtype and attname ~ '_minor$'
        """,
    )
    assert found == []


async def test_no_index_repeats_another(owner: Connection) -> None:
    found = await offenders(
        owner,
        f"""
        select a.indexrelid::regclass || ' = ' || b.indexrelid::regclass
        from pg_index a join pg_index b on a.indrelid = b.indrelid and a.indexrelid < b.indexrelid
          and a.indkey::text = b.indkey::text and a.indclass = b.indclass and a.indoption::text = b.indoption::text
          and a.indpred is not distinct from b.indpred and a.indexprs is not distinct from b.indexprs
        where a.indrelid in (select oid from ({TABLES}) t)
        """,
    )
    assert found == []


CHANGING = f"""
select t.oid, t.name from ({TABLES}) t
where t.name not like 'auth.%'
  and exists (select from pg_attribute where attrelid = t.oid and attname = 'updated_at' and not attisdropped)
"""


async def test_every_table_that_says_when_it_changed_has_the_trigger(owner: Connection) -> None:
    assert len(await owner.fetch(CHANGING)) > 7
    found = await offenders(
        owner,
        f"""
        select t.name from ({CHANGING}) t
        where not exists (
          select from pg_trigger g
          where g.tgrelid = t.oid and g.tgfoid = 'public.update_updated_at_column'::regproc
            and g.tgenabled in ('O', 'A') and g.tgtype = 1 | 2 | 16 -- for each row, before, update
            and g.tgattr = ''
            -- A hold of a sale is not for the person to notice.
            and (g.tgqual is null or t.oid = 'public.conversions'::regclass))
        """,
    )
    assert found == []


async def test_a_change_moves_the_time_of_change_whatever_the_writer_says(owner: Connection) -> None:
    await plant(owner)
    for (name,) in await owner.fetch(f"select name from ({CHANGING}) t"):
        table = name.removeprefix("public.")
        async with owner.transaction():
            await owner.execute(f"update public.{table} set {CHANGES[table]}, updated_at = '-infinity'")
            stamped = await owner.fetch(f"select updated_at = now() as is_now from public.{table}")
        assert stamped, table
        assert all(row["is_now"] for row in stamped), table


async def test_a_field_that_is_never_null_is_read_from_a_column_that_is_not_either(owner: Connection) -> None:
    """Plans tell by such a column whether there is a row at all."""
    schema = build()
    declared = SchemaFields(schema)
    columns = []
    for type_ in schema._schema.type_map.values():
        if not isinstance(type_, GraphQLObjectType) or type_.name.startswith("__"):
            continue
        row_type = declared.row_type(type_.name)
        for name, column in row_type.fields.items() if row_type else ():
            if isinstance(column, Column) and column.read is None and is_non_null_type(type_.fields[name].type):
                columns.append((row_type.table, column.columns[0]))
    assert len(columns) > 30
    nullable = await owner.fetch(
        """
        select c.table_name, c.name from unnest($1::text[], $2::text[]) c (table_name, name)
        join pg_class t on t.oid = c.table_name::regclass
        left join pg_attribute a on a.attrelid = t.oid and a.attname = c.name
        where a.attnotnull is not true and t.relkind <> 'v'  -- what a view computes is never declared so
        """,
        *zip(*columns, strict=True),
    )
    assert [tuple(row) for row in nullable] == []
