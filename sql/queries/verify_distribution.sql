-- Whether people's tables can be distributed by person, for db/verification/distribution.py. `tables` are the distributed
-- ones and `columns` their people's columns, in the same order. See verify_server.sql.

-- name: unplaced(schemas, tables, local)
select format('%I.%I has a column for a person, and is neither distributed nor in COORDINATOR', n.nspname, c.relname) as fault
from pg_class c join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attname in ('user_id', 'person_id') and not a.attisdropped
where n.nspname = any (:schemas::text[]) and c.relkind in ('r', 'p') and not c.relispartition
  and n.nspname || '.' || c.relname <> all (:tables::text[] || :local::text[]);

-- name: without_person(tables, columns)
select format('%s.%s is missing, or may be null', t.name, t.person) as fault
from unnest(:tables::text[], :columns::text[]) t (name, person)
where not exists (
  select from pg_attribute a where a.attrelid = to_regclass(t.name) and a.attname = t.person and a.attnotnull);

-- name: keys_of_many(tables, columns)
select format('%s of %s lacks %s', i.indexrelid::regclass, t.name, t.person) as fault
from unnest(:tables::text[], :columns::text[]) t (name, person)
join pg_attribute a on a.attrelid = to_regclass(t.name) and a.attname = t.person
join pg_index i on i.indrelid = a.attrelid and (i.indisunique or i.indisexclusion)
where a.attnum <> all (i.indkey::int2[]);

-- name: references_of_many(schemas, tables, columns, allowed)
-- A foreign key fits if it joins the people's columns of two distributed tables, or leads to a reference table. From a
-- table that is not distributed to one that is, Citus has none.
with placed as (
  select to_regclass(t.name) as oid, t.person from unnest(:tables::text[], :columns::text[]) t (name, person)
)
select format('%s of %s', k.conname, k.conrelid::regclass) as fault
from pg_constraint k
join pg_namespace n on n.oid = k.connamespace
left join placed f on f.oid = k.conrelid
left join placed r on r.oid = k.confrelid
where k.contype = 'f' and k.conparentid = 0 and n.nspname = any (:schemas::text[]) and r.oid is not null
  and k.conname <> all (:allowed::text[])
  and (f.oid is null or not exists (
    select from unnest(k.conkey, k.confkey) pair (own, other)
    join pg_attribute o on o.attrelid = f.oid and o.attnum = pair.own and o.attname = f.person
    join pg_attribute p on p.attrelid = r.oid and p.attnum = pair.other and p.attname = r.person));

-- name: references_to_local(tables, local, allowed)
select format('%s of %s leads to %s, which stays on the coordinator', k.conname, k.conrelid::regclass, k.confrelid::regclass)
  as fault
from pg_constraint k
where k.contype = 'f' and k.conparentid = 0 and k.conname <> all (:allowed::text[])
  and k.conrelid in (select to_regclass(name) from unnest(:tables::text[]) name)
  and k.confrelid in (select to_regclass(name) from unnest(:local::text[]) name);

-- name: unknown_constraints(names)
select wanted as fault from unnest(:names::text[]) wanted
where not exists (select from pg_constraint where conname = wanted);

-- name: triggers(tables)
select g.tgrelid::regclass::text as relation, g.tgname as name, g.tgtype & 1 = 1 as is_per_row from pg_trigger g
where not g.tgisinternal and g.tgparentid = 0 and g.tgrelid in (select to_regclass(name) from unnest(:tables::text[]) name)
order by 1, 2;

-- name: people(schemas)
-- Tables with a person in each row.
select n.nspname || '.' || c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attname = 'user_id' and a.attnotnull and not a.attisdropped
where n.nspname = any (:schemas::text[]) and n.nspname <> 'auth' and c.relkind in ('r', 'p') and not c.relispartition
order by 1;
