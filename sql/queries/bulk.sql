-- Around a large load, as the owner.

-- name: constraints_and_indexes(tables)
-- What db/bulk.py drops from these tables and recreates in reverse order: foreign keys from and to them, then plain
-- indexes, then primary keys and unique constraints. The definition of a partitioned table's index says ONLY, which is
-- removed, so that the rebuilt index includes the partitions.
select name, "drop", "create", case when has_comment then comment end as comment from (
  select case c.contype when 'f' then 1 else 3 end as turn, c.conname::text as name,
    format('alter table %s drop constraint %I', c.conrelid::regclass, c.conname) as "drop",
    format('alter table %s add constraint %I %s', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid)) as "create",
    format('comment on constraint %I on %s is %L', c.conname, c.conrelid::regclass,
      obj_description(c.oid, 'pg_constraint')) as comment,
    obj_description(c.oid, 'pg_constraint') is not null as has_comment
  from pg_constraint c
  where c.conparentid = 0 and (
    c.contype in ('p', 'u') and c.conrelid = any (:tables::text[]::regclass[])
    or c.contype = 'f' and (c.conrelid = any (:tables::text[]::regclass[]) or c.confrelid = any (:tables::text[]::regclass[])))
  union all
  select 2, i.indexrelid::regclass::text,
    format('drop index %s', i.indexrelid::regclass),
    regexp_replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON '),
    format('comment on index %s is %L', i.indexrelid::regclass, obj_description(i.indexrelid, 'pg_class')),
    obj_description(i.indexrelid, 'pg_class') is not null
  from pg_index i
  where i.indrelid = any (:tables::text[]::regclass[])
    and not exists (select from pg_constraint c where c.conindid = i.indexrelid and c.contype in ('p', 'u', 'x'))
) found
order by turn, name
