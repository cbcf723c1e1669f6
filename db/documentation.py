"""docs/schema.md from a migrated database: what each table holds, who writes and who reads it, what each index is for.

Writers and readers are found in the text of sql/queries and of the functions. Users of an index are found by asking
Postgres (18 or newer: EXPLAIN with GENERIC_PLAN) for the plans of all these statements, of the declared rows' lookups
and pages, and of the statements that foreign keys run when a referenced row is deleted.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg

from db import pages, seeds
from db.documentation_page import of_reference_documents, of_tables
from db.pages import PageRequest
from db.product_imports import STAGING
from db.queries import QUERIES, Fragment, Query, compose
from db.rows import RowType
from domain.seeds import SeedPlan

VERBS = ("select", "insert", "update", "delete", "with")
UTILITIES = ("alter", "analyze", "create", "drop")
_PARTS = {  # the statement and the slot
    "recommendations.listed": ("recommendations.ranked", "candidates"),
    "recommendations.is_new_to": ("recommendations.ranked", "is_new"),
}
_CONDITIONS_OF = {
    "exports": "public.privacy_requests",
    "gift_finder": "public.products",
    "recommendations": "public.products",
    "sessions": "public.user_sessions",
}  # elsewhere the noun is the table

_WRITES = re.compile(r"\b(?:insert\s+into|update|delete\s+from|truncate)\s+(?:only\s+)?((?:public|private)\.\w+)", re.I)
_READS = re.compile(r"(?<!delete )\b(?:from|join|using)\s+(?:only\s+)?((?:public|private)\.\w+)(?!\w*\()", re.I)
_STATEMENT = re.compile(
    r"(?:^|\b(?:then|else|begin|loop|query)\s)\s*\(?((?:select|insert|update|delete|with|perform)\b)", re.I
)
_VARIABLE = re.compile(r"^\s*(\w+)\s+(?:constant\s+)?([\w.]+(?: [a-z]+)*(?:\[\])?)\s*(?:;|:=)", re.M)
_ROW_VALUE = re.compile(r"\b(?:new|old)\.\w+")
_INTO = re.compile(r"(?<!insert )\binto\s+[\w.]+(?:\s*,\s*[\w.]+)*", re.I)

_EVENTS = """
insert into public.analytics_events (user_id, id, event_name)
select id, private.uuid_v7(), 'made-up' from public.profiles cross join generate_series(1, 10);
analyze public.analytics_events
"""
# Of a partition's index the one of its parent is meant.
_EXPLAIN = """
create or replace function pg_temp.indexes_of(p_statement text) returns jsonb language plpgsql as $$
declare
  plan jsonb;
begin
  execute 'explain (generic_plan, format json) ' || p_statement into plan;
  return (
    select coalesce(jsonb_agg(distinct coalesce(h.inhparent::regclass::text, name)), '[]')
    from jsonb_array_elements_text(jsonb_path_query_array(plan, 'strict $.**."Index Name"')) name
    left join pg_inherits h on h.inhrelid = to_regclass('public.' || quote_ident(name)));
end
$$
"""


def _served() -> list[Query]:
    """The statements of the service, without those of `aclue verify`, for which there are no indexes."""
    return [query for query in QUERIES.values() if not query.name.startswith("verify_")]


@dataclass
class Index:
    name: str
    definition: str
    constraint: str | None
    users: list[str] = field(default_factory=list)


@dataclass
class TableDocs:
    name: str
    comment: str
    columns: list[tuple[str, str, str]]
    indexes: list[Index]
    granted: dict[str, list[str]]
    writers: set[str] = field(default_factory=set)
    readers: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class LabelledSql:
    """A statement, and its name in the documentation."""

    label: str
    sql: str


async def tables(connection: asyncpg.Connection[Any], row_types: Iterable[RowType]) -> list[TableDocs]:
    """All tables with their writers and readers; their indexes do not have users yet."""
    found = await _tables(connection)
    by_name = {table.name: table for table in found}
    texts = [(f"`{query.name}`", query.text) for query in _served()]
    for row in await connection.fetch(_FUNCTIONS):
        texts.append((f"`{row['name']}()`", row["source"]))
    async with connection.transaction():
        await connection.execute("set local search_path = ''")  # definitions then name the schema of each table
        texts += [(f"`{row['name']}`", row["source"]) for row in await connection.fetch(_VIEWS)]
    for label, text in texts:
        for pattern, kind in ((_WRITES, "writers"), (_READS, "readers")):
            for name in pattern.findall(text):
                if name in by_name:
                    getattr(by_name[name], kind).add(label)
    for row_type in row_types:
        if row_type.table in by_name:  # or a view
            by_name[row_type.table].readers.add(f"type `{row_type.name}`")
    return found


async def statements(connection: asyncpg.Connection[Any], row_types: Iterable[RowType]) -> list[LabelledSql]:
    """All statements that can be explained."""
    found = [
        LabelledSql(f"`{query.name}`", statement_of(query)) for query in _served() if _verb(query) not in UTILITIES
    ]
    for row in await connection.fetch(_FUNCTIONS):
        found += [LabelledSql(f"`{row['name']}()`", sql) for sql in _bodies(row)]
    return found + statements_of_rows(row_types)


def statements_of_rows(row_types: Iterable[RowType]) -> list[LabelledSql]:
    """The lookups and pages of declared rows, of which loaders and compiled plans consist."""
    found = []
    for row_type in row_types:
        own = f" and r.{row_type.owner} = $2::uuid" if row_type.owner else ""
        look_up = f"select 1 from {row_type.table} r where r.id = any($1::uuid[]){own}"
        found.append(LabelledSql(f"look-up of `{row_type.name}`", look_up))
        found += [LabelledSql(label, sql) for label, sql in _pages(row_type)]
    return found


async def explain(connection: asyncpg.Connection[Any], asked: Iterable[LabelledSql]) -> dict[str, list[str]]:
    """{index: labels of the statements whose plan uses it}. Statements that cannot be planned are skipped: they need
    the variables of their function, or a temporary table."""
    await connection.execute(_EXPLAIN)
    users: dict[str, list[str]] = defaultdict(list)
    for statement in asked:
        try:
            async with connection.transaction():
                names = await connection.fetchval("select pg_temp.indexes_of($1)", statement.sql)
        except asyncpg.PostgresError:
            continue
        for name in sorted(set(json.loads(names))):
            if statement.label not in users[name]:
                users[name].append(statement.label)
    return users


async def foreign_keys(connection: asyncpg.Connection[Any]) -> list[LabelledSql]:
    """The lookups that Postgres runs when a row that others refer to is deleted."""
    return [
        LabelledSql(
            f"deleting from {row['referred']}",
            f"select 1 from {row['relation']} x where "
            + " and ".join(f"x.{column} = ${n}::{kind}" for n, (column, kind) in enumerate(row["columns"], 1)),
        )
        for row in await connection.fetch(_FOREIGN_KEYS)
    ]


async def fill(owner: asyncpg.Connection[Any]) -> None:
    """Adds generated rows, always the same, because plans for empty tables would be meaningless."""
    await seeds.load(owner, SeedPlan(2_000, 2_000, 50_000, 1, datetime(2026, 1, 1, tzinfo=UTC)))
    await owner.execute(_EVENTS)


async def examine(connection: asyncpg.Connection[Any], row_types: list[RowType]) -> list[TableDocs]:
    """All tables, with everything that is known of them. Plans are asked for without sequential scans and sorts: of a
    table of a few rows the question is which index a statement takes once there are more."""
    found = await tables(connection, row_types)
    for block in STAGING:
        await connection.execute(QUERIES[f"product_imports.{block}"].sql)
    asked = [*await statements(connection, row_types), *await foreign_keys(connection)]
    await connection.execute("set enable_seqscan = off; set enable_sort = off")
    users = await explain(connection, asked)
    # A block range index pays only on a table far larger than this.
    await connection.execute("set enable_indexscan = off; set enable_indexonlyscan = off")
    users = {**await explain(connection, asked), **users}
    for setting in ("seqscan", "sort", "indexscan", "indexonlyscan"):
        await connection.execute(f"reset enable_{setting}")
    for table in found:
        for index in table.indexes:
            index.users = users.get(index.name, [])
    return found


async def describe(connection: asyncpg.Connection[Any], row_types: list[RowType]) -> str:
    """The page."""
    return "\n".join([*of_tables(await examine(connection, row_types)), *of_reference_documents()]) + "\n"


def is_statement(query: Query) -> bool:
    """Whether the block is a statement, or a part of one; otherwise it is a condition on the rows of its noun."""
    return query.name in _PARTS or _verb(query) in (*VERBS, *UTILITIES)


def _verb(query: Query) -> str:
    return query.text.split(maxsplit=1)[0].lower()


def statement_of(query: Query) -> str:
    """The block as SQL that can be prepared: its slots filled by `true`, `{candidates}` by one of a row; a condition
    behind a `where`, what goes over `parent.key` behind a parent, a part of another block in its slot."""
    text = query.text
    if query.name in _PARTS:
        outer, slot = _PARTS[query.name]
        text = QUERIES[outer].text.replace(f"{{{slot}}}", text)
        return statement_of(Query(outer, text, (*QUERIES[outer].params, *query.params), ""))
    if "parent.key" in text:
        text = f"select from (select null::uuid as key) parent cross join lateral ({text}) found"
    if not is_statement(query):
        table = _CONDITIONS_OF.get(noun := query.name.partition(".")[0], f"public.{noun}")
        text = f"select from {table} r where {text}"
    slots = {
        name: "select 1 as number" if name in ("candidates", "listed") else "true"
        for name in re.findall(r"\{(\w+)\}", text)
    }
    sql, _ = compose(text, slots).statement(**dict.fromkeys(query.params))
    return sql


def _bodies(row: asyncpg.Record) -> Iterator[str]:
    """The statements of a function, its parameters, variables and the values of a trigger's row numbered; of plpgsql
    sub-selects of conditions too, and without the variables they go INTO. A trigger's transition tables are read as
    a row of its table. Some of them make no sense by themselves."""
    text, names, kinds = row["source"], list(row["names"] or [])[: len(row["types"])], list(row["types"])
    for transition in row["transitions"]:
        text = re.sub(rf"\b(from|join)\s+{transition}\b", rf"\1 (select * from {row['triggered_by']} limit 1)", text)
    found = re.split(r";\s*(?:\n|$)", text)
    if row["language"] == "plpgsql":
        declarations, _, body = text.partition("begin")
        declared = _VARIABLE.findall(declarations)
        names, kinds = names + [name for name, _ in declared], kinds + [kind for _, kind in declared]
        found = []
        for part in re.split(r";\s*(?:\n|$)", body):
            if match := _STATEMENT.search(part):
                statement = re.sub(r"^perform\b", "select", part[match.start(1) :], count=1)
                found.append(_INTO.sub("", statement, count=1))
            found += [_balanced(part, match.end()) for match in re.finditer(r"exists\s*\(", part)]
    for statement in found:
        for number, (name, kind) in enumerate(zip(names, kinds, strict=True), 1):
            statement = re.sub(rf"(?<![.:\w]){name}(?![.\w(])", f"${number}::{kind}", statement)
        for number, value in enumerate(sorted(set(_ROW_VALUE.findall(statement)), reverse=True), len(names) + 1):
            statement = re.sub(rf"\b{value}\b", f"${number}", statement)
        if statement.strip():
            yield statement


def _balanced(text: str, start: int) -> str:
    """Up to the bracket that closes the one before `start`."""
    depth = 1
    for position in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if not depth:
            return text[start:position]
    return text[start:]


def _pages(row_type: RowType) -> Iterator[tuple[str, str]]:
    for name, order in row_type.orders.items():
        if order is None or ":" in order.keys[0].expression:  # needs values of a request
            continue
        where = Fragment("r.is_active" if row_type.table == "public.products" else "true", {})
        for parent in (None, f"r.{row_type.owner} = parent.key") if row_type.owner else (None,):
            request = PageRequest(row_type, order, 20, False, None, where, parent)
            if row_type.owner and parent is None:
                continue
            yield f"pages of `{row_type.name}` by {name}", pages.page_statement(request, [])[0]


async def _tables(connection: asyncpg.Connection[Any]) -> list[TableDocs]:
    columns, indexes = defaultdict(list), defaultdict(list)
    granted: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for row in await connection.fetch(_COLUMNS):
        columns[row["relation"]].append((row["name"], row["type"], row["comment"] or ""))
    for row in await connection.fetch(_INDEXES):
        indexes[row["relation"]].append(Index(row["name"], row["definition"], row["constraint"]))
    for row in await connection.fetch(_GRANTS):
        granted[row["relation"]][row["role"]] = row["verbs"]
    return [
        TableDocs(
            row["relation"],
            row["comment"] or "",
            columns[row["relation"]],
            indexes[row["relation"]],
            granted[row["relation"]],
        )
        for row in await connection.fetch(_TABLES)
    ]


_OURS = "c.relnamespace in ('public'::regnamespace, 'private'::regnamespace) and not c.relispartition"
_NAME = "(c.relnamespace::regnamespace::text || '.' || c.relname)"
_TABLES = f"""
select {_NAME} as relation, obj_description(c.oid, 'pg_class') as comment
from pg_class c where {_OURS} and c.relkind in ('r', 'p') order by c.relnamespace::regnamespace::text desc, c.relname
"""
_COLUMNS = f"""
select {_NAME} as relation, a.attname as name, col_description(c.oid, a.attnum) as comment,
  format_type(a.atttypid, a.atttypmod) || case when a.attnotnull then ' not null' else '' end as type
from pg_class c join pg_attribute a on a.attrelid = c.oid
where {_OURS} and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped order by c.relname, a.attnum
"""
_INDEXES = f"""
select {_NAME} as relation, i.relname as name,
  regexp_replace(pg_get_indexdef(i.oid), '^.* USING (btree )?', '') as definition,
  case x.contype when 'p' then 'primary key' when 'u' then 'unique constraint'
    when 'x' then 'exclusion constraint'
    else case when n.indisunique then 'unique' end end as constraint
from pg_class c join pg_index n on n.indrelid = c.oid join pg_class i on i.oid = n.indexrelid
left join pg_constraint x on x.conindid = i.oid and x.contype in ('p', 'u', 'x')
where {_OURS} order by c.relname, x.contype nulls last, i.relname
"""
_GRANTS = f"""
select {_NAME} as relation, r.rolname as role,
  array_agg(distinct v.verb order by v.verb) as verbs
from pg_class c cross join (values ('select'), ('insert'), ('update'), ('delete')) v (verb)
cross join pg_roles r
where {_OURS} and c.relkind in ('r', 'p') and r.rolname in ('anon', 'authenticated', 'service_role')
  and case when v.verb = 'delete' then has_table_privilege(r.oid, c.oid, v.verb)
    else has_any_column_privilege(r.oid, c.oid, v.verb) end
group by 1, 2 order by 1, 2
"""
_FUNCTIONS = """
select p.pronamespace::regnamespace::text || '.' || p.proname as name, l.lanname as language,
  coalesce(pg_get_function_sqlbody(p.oid), p.prosrc) as source, p.proargnames as names,
  array(select format_type(t, null) from unnest(p.proargtypes) with ordinality u (t, n) order by n) as types,
  t.triggered_by, array_remove(array[t.tgoldtable, t.tgnewtable], null) as transitions
from pg_proc p join pg_language l on l.oid = p.prolang
left join lateral (
  select t.tgrelid::regclass::text as triggered_by, t.tgoldtable, t.tgnewtable from pg_trigger t
  where t.tgfoid = p.oid order by 1 limit 1) t on true
where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace) and l.lanname in ('sql', 'plpgsql')
  and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
order by 1
"""
_VIEWS = f"""
select c.oid::pg_catalog.regclass::text as name, pg_catalog.pg_get_viewdef(c.oid, true) as source
from pg_catalog.pg_class c where {_OURS} and c.relkind = 'v' order by 1
"""
_FOREIGN_KEYS = """
select k.conrelid::regclass::text as relation, k.confrelid::regclass::text as referred,
  array(
    select row(a.attname, format_type(a.atttypid, null)) from unnest(k.conkey) with ordinality u (attnum, n)
    join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.attnum order by u.n) as columns
from pg_constraint k join pg_class c on c.oid = k.conrelid
where k.contype = 'f' and k.conparentid = 0
  and k.connamespace in ('public'::regnamespace, 'private'::regnamespace)
order by 1, 2
"""
