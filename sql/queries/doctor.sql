-- What `aclue doctor` reads. As the owner or a superuser; members of pg_monitor see what other roles do.

-- name: state()
-- Statistics that were never reset are as old as the first migration.
select current_setting('server_version') as version, pg_database_size(current_database()) as bytes, now() as taken_at,
  coalesce(d.stats_reset, (select min(applied_at) from private.applied_files)) as counted_since,
  pg_has_role(current_user, 'pg_read_all_stats', 'usage') as sees_all
from pg_stat_database d where d.datname = current_database()

-- name: statements(maximum)
select left(query, 2000) as query, calls, total_time, mean_time, rows, calls_per_hour, performance_grade
from public.performance_monitoring_view
order by total_time desc limit :maximum::int

-- name: connections()
select
  (select sum(numbackends)::int from pg_stat_database) as used,
  current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true), '0')::int as usable,
  count(*) filter (where state = 'active')::int as active,
  count(*) filter (where state like 'idle in transaction%')::int as idle_in_transaction,
  coalesce(max(extract(epoch from now() - xact_start)) filter (where state like 'idle in transaction%'), 0)::float8
    as oldest_idle_seconds,
  coalesce(max(extract(epoch from now() - query_start)) filter (where state = 'active' and pid <> pg_backend_pid()
    and backend_type = 'client backend'), 0)::float8 as longest_statement_seconds
from pg_stat_activity

-- name: locks()
select a.pid, pg_blocking_pids(a.pid) as blocked_by, extract(epoch from now() - a.query_start)::float8 as seconds,
  coalesce(a.usename::text, '') as role, coalesce(left(a.query, 200), '') as query
from pg_stat_activity a
where cardinality(pg_blocking_pids(a.pid)) > 0
order by 3 desc nulls last limit 20

-- name: tables()
-- Sizes as of the last vacuum or analyze: pg_relation_size() would wait for whoever has locked a table. Expected bytes: what
-- the rows would take on full pages, from the planner's statistics; null without these.
select n.nspname || '.' || c.relname as name, c.reltuples::bigint as rows,
  8192 * (c.relpages + coalesce((
    select sum(o.relpages) from pg_class o
    where o.oid = c.reltoastrelid
      or o.oid in (select i.indexrelid from pg_index i where i.indrelid in (c.oid, c.reltoastrelid))), 0)) as bytes,
  8192 * c.relpages::bigint as heap_bytes,
  case when c.reltuples > 0 and w.width is not null
    then ceil(c.reltuples * (ceil(w.width / 8) * 8 + 28) / 8168) * 8192 end::float8 as expected_bytes,
  coalesce(s.seq_scan, 0) as scans, coalesce(s.idx_scan, 0) as index_scans,
  s.n_live_tup as live, s.n_dead_tup as dead, s.n_tup_ins as inserted, s.n_tup_del as deleted,
  greatest(s.last_vacuum, s.last_autovacuum) as vacuumed_at
from pg_stat_user_tables s
join pg_class c on c.oid = s.relid
join pg_namespace n on n.oid = c.relnamespace
left join lateral (
  select sum((1 - p.null_frac) * p.avg_width) as width from pg_stats p
  where p.schemaname = n.nspname and p.tablename = c.relname and not p.inherited
) w on true
where n.nspname in ('public', 'private', 'auth')
order by 3 desc, 1

-- name: unused_indexes(minimum_bytes)
-- Not those that enforce something.
select n.nspname || '.' || s.indexrelname as name, n.nspname || '.' || s.relname as table_name,
  8192 * c.relpages::bigint as bytes
from pg_stat_user_indexes s
join pg_index i on i.indexrelid = s.indexrelid
join pg_class c on c.oid = s.indexrelid
join pg_namespace n on n.oid = c.relnamespace
where s.idx_scan = 0 and not i.indisunique and not i.indisexclusion and n.nspname in ('public', 'private')
  and 8192 * c.relpages::bigint >= :minimum_bytes::bigint
  -- An index that a partition inherits cannot be dropped by itself.
  and not exists (select from pg_inherits h where h.inhrelid = s.indexrelid)
order by 3 desc, 1
