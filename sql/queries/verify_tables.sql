-- Faults of tables, partitions, keys and indexes, from the catalog. See verify_server.sql.

-- name: missing_tables(names)
select wanted as fault from unnest(:names::text[]) wanted
where not exists (
  select from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname || '.' || c.relname = wanted and c.relkind in ('r', 'p', 'v'));

-- name: missing_columns(names)
select wanted as fault from unnest(:names::text[]) wanted
where not exists (
  select from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
  where n.nspname || '.' || c.relname || '.' || a.attname = wanted and a.attnum > 0 and not a.attisdropped);

-- name: too_few(tables, indexes)
select format('%s tables, expected %s or more', count(*), :tables::int) as fault from pg_class
where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition having count(*) < :tables::int
union all
select format('%s indexes, expected %s or more', count(*), :indexes::int) from pg_class
where relnamespace = 'public'::regnamespace and relkind in ('i', 'I') and not relispartition having count(*) < :indexes::int;

-- name: several_owners(schemas)
select format('%I.%I belongs to %s', n.nspname, c.relname, pg_get_userbyid(c.relowner)) as fault
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any (:schemas::text[]) and c.relkind in ('r', 'p')
  and c.relowner <> (select relowner from pg_class where oid = 'public.profiles'::regclass)
  and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e');

-- name: unlogged(schemas)
select format('%I.%I would be empty after a crash', n.nspname, c.relname) as fault
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any (:schemas::text[]) and c.relkind in ('r', 'p') and c.relpersistence <> 'p';

-- name: without_primary_key(schemas)
select format('%I.%I', n.nspname, c.relname) as fault
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any (:schemas::text[]) and c.relkind in ('r', 'p')
  and not exists (select from pg_constraint p where p.conrelid = c.oid and p.contype = 'p')
  and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e');

-- name: not_keyed_by_person()
select format('the key of %I lacks user_id', c.relname) as fault
from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'user_id' and a.attnotnull
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
  and not exists (
    select from pg_constraint p where p.conrelid = c.oid and p.contype = 'p' and a.attnum = any (p.conkey));

-- name: not_found_by_person()
select format('no index of %I begins with user_id', c.relname) as fault
from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'user_id' and not a.attisdropped
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
  and not exists (
    select from pg_index i where i.indrelid = c.oid and i.indisvalid and i.indpred is null and i.indkey[0] = a.attnum);

-- name: local_timestamps(schemas)
select format('%I.%I.%I', n.nspname, c.relname, a.attname) as fault
from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any (:schemas::text[]) and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
  and a.atttypid = 'timestamp'::regtype;

-- name: inexact_money(schemas)
select format('%I.%I.%I is %s', n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod)) as fault
from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any (:schemas::text[]) and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
  and a.attname ~ '_minor$' and a.atttypid <> 'bigint'::regtype;

-- name: wrong_directions(labels)
select format('swipe_direction is %s', coalesce(string_agg(e.enumlabel, ', ' order by e.enumsortorder), 'missing')) as fault
from pg_enum e join pg_type t on t.oid = e.enumtypid
where t.typname = 'swipe_direction' and t.typnamespace = 'public'::regnamespace
having array_agg(e.enumlabel::text order by e.enumsortorder) is distinct from :labels::text[];

-- name: never_stamped()
select format('%I has updated_at and no trigger that sets it', c.relname) as fault
from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'updated_at' and not a.attisdropped
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
  and not exists (
    select from pg_trigger t join pg_proc p on p.oid = t.tgfoid
    where t.tgrelid = c.oid and p.proname = 'update_updated_at_column' and t.tgtype & 19 = 19);

-- name: missing_triggers(names)
select wanted as fault from unnest(:names::text[]) wanted
where not exists (
  select from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
  where n.nspname || '.' || c.relname || '.' || t.tgname = wanted);

-- name: disabled_triggers(schemas)
select format('%I on %I.%I', t.tgname, n.nspname, c.relname) as fault
from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
where (n.nspname = any (:schemas::text[]) or t.tgname like 'aclue\_%') and t.tgenabled not in ('O', 'A');

-- name: missing_partitions()
with months as (
  select pg_catalog.generate_series(date_trunc('month', now(), 'UTC'),
    date_trunc('month', now(), 'UTC') + interval '1 month', interval '1 month') as month
)
select format('%I has none for %s', c.relname, to_char(m.month at time zone 'UTC', 'YYYY-MM')) as fault
from pg_class c cross join months m
where c.relnamespace = 'public'::regnamespace and c.relkind = 'p' and not c.relispartition
  and not exists (
    select from pg_inherits i join pg_class p on p.oid = i.inhrelid
    cross join lateral regexp_match(
      pg_get_expr(p.relpartbound, p.oid), 'FROM \(''([0-9a-f-]{36})''\) TO \(''([0-9a-f-]{36})''\)') b
    where i.inhparent = c.oid and b is not null and b[1]::uuid <= private.uuid_v7_floor(m.month)
      and b[2]::uuid >= private.uuid_v7_floor(m.month + interval '1 month'));

-- name: partitioned_without_default()
select c.relname as fault from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind = 'p' and not exists (
  select from pg_inherits i join pg_class p on p.oid = i.inhrelid
  where i.inhparent = c.oid and pg_get_expr(p.relpartbound, p.oid) = 'DEFAULT');

-- name: default_partitions()
select format('%I.%I', n.nspname, p.relname) as name
from pg_class p join pg_namespace n on n.oid = p.relnamespace
where n.nspname = 'public' and p.relispartition and p.relkind = 'r' and pg_get_expr(p.relpartbound, p.oid) = 'DEFAULT';

-- name: foreign_keys_without_index(schemas)
select format('%I of %I.%I', k.conname, n.nspname, c.relname) as fault
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
where k.contype = 'f' and n.nspname = any (:schemas::text[]) and not exists (
  select from pg_index i
  where i.indrelid = k.conrelid and i.indisvalid
    and (i.indpred is null or pg_get_expr(i.indpred, i.indrelid) ~ '^\(\w+ IS NOT NULL\)$')
    and (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey);

-- name: keys_past_the_person()
select format('%I of %I points at a row of %I without its user_id', k.conname, k.conrelid::regclass, k.confrelid::regclass) as fault
from pg_constraint k
join pg_class c on c.oid = k.conrelid and c.relnamespace = 'public'::regnamespace
join pg_attribute theirs on theirs.attrelid = k.confrelid and theirs.attname = 'user_id' and theirs.attnotnull
where k.contype = 'f' and not theirs.attnum = any (k.confkey);

-- name: undecided_deletes(schemas)
select format('%I of %I.%I', k.conname, n.nspname, c.relname) as fault
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
where k.contype = 'f' and n.nspname = any (:schemas::text[]) and k.confdeltype = 'a';

-- name: people_who_cannot_go()
select format('%I of %I', k.conname, k.conrelid::regclass) as fault
from pg_constraint k
where k.contype = 'f' and k.confrelid = 'public.profiles'::regclass and k.confdeltype not in ('c', 'n');

-- name: not_validated(schemas)
select format('%I of %I.%I', k.conname, n.nspname, c.relname) as fault
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any (:schemas::text[]) and not k.convalidated;

-- name: missing_constraints(names)
select wanted as fault from unnest(:names::text[]) wanted
where not exists (
  select from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
  where n.nspname || '.' || c.relname || '.' || k.conname = wanted);

-- name: unknown_constraints(names, schemas)
select format('%I of %I.%I', k.conname, n.nspname, c.relname) as fault
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any (:schemas::text[]) and k.contype in ('p', 'u', 'f', 'c', 'x') and k.conparentid = 0
  and not c.relispartition and n.nspname || '.' || c.relname || '.' || k.conname <> all (:names::text[])
  and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e');

-- name: missing_indexes(names)
select wanted as fault from unnest(:names::text[]) wanted
where not exists (
  select from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname || '.' || c.relname = wanted and c.relkind in ('i', 'I'));

-- name: invalid_indexes(schemas)
select format('%I.%I', n.nspname, c.relname) as fault
from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any (:schemas::text[]) and not (i.indisvalid and i.indisready and i.indislive);

-- name: twin_indexes(schemas)
select format('%s do the same for %I.%I', string_agg(x.relname, ' and ' order by x.relname), n.nspname, c.relname) as fault
from pg_index i
join pg_class x on x.oid = i.indexrelid
join pg_class c on c.oid = i.indrelid
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any (:schemas::text[]) and not c.relispartition
group by n.nspname, c.relname, i.indrelid, i.indkey::text, i.indclass::text, i.indoption::text, x.relam,
  coalesce(pg_get_expr(i.indexprs, i.indrelid), ''), coalesce(pg_get_expr(i.indpred, i.indrelid), '')
having count(*) > 1;

-- name: never_analysed(schemas)
with recursive tree as (
  select c.oid, c.oid as leaf from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = any (:schemas::text[]) and c.relkind in ('r', 'p')
  union all
  select t.oid, i.inhrelid from tree t join pg_inherits i on i.inhparent = t.leaf
),
sizes as (
  select t.oid, sum(pg_relation_size(t.leaf)) / current_setting('block_size')::int as pages, sum(leaf.reltuples) as rows
  from tree t join pg_class leaf on leaf.oid = t.leaf and leaf.relkind = 'r' group by 1
)
-- Ten times as large as when it was analysed: statistics of an empty table are no better than none.
select format('%s has %s pages and %s', c.oid::regclass, s.pages,
  case when c.reltuples < 0 then 'no statistics' else 'statistics of when it was far smaller' end) as fault
from sizes s join pg_class c on c.oid = s.oid
where s.pages >= 128 and (c.reltuples < 0
  or case c.relkind when 'r' then c.relpages * 10 < s.pages else c.reltuples * 10 < s.rows end);

-- name: read_without_index(share, rows, scans)
select format('%I.%I: %s of %s scans used an index', schemaname, relname, coalesce(idx_scan, 0), seq_scan + coalesce(idx_scan, 0)) as fault
from pg_stat_user_tables
where schemaname in ('public', 'private') and n_live_tup > :rows::bigint
  and seq_scan + coalesce(idx_scan, 0) >= :scans::bigint
  and coalesce(idx_scan, 0) < :share::float8 * (seq_scan + coalesce(idx_scan, 0));
