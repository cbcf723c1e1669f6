-- Figures for /metrics that no process can count alone, as other processes and commands change them, too. Each is read in
-- constant time, whatever the size of the tables: docs/metrics.md.

-- Rows that were inserted since the statistics were reset, those that were rolled back or deleted included. A sum over all
-- partitions would fall when an old one is dropped, which Prometheus would take for a restart: so each has its own series.
create or replace function private.inserted_rows() returns table (figure text, label text, value double precision)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select t.figure, '', pg_stat_get_tuples_inserted(to_regclass(t.name))::double precision
  from (values ('registrations', 'auth.users'), ('sessions', 'public.user_sessions'), ('swipes', 'public.swipes'),
    ('clicks', 'public.affiliate_clicks'), ('redirects', 'public.affiliate_redirects'),
    ('conversions', 'public.conversions')) t (figure, name)
  where to_regclass(t.name) is not null
  union all
  select p.parent, coalesce(substring(c.relname from '_(\d{6})$'), 'default'),
    pg_stat_get_tuples_inserted(c.oid)::double precision
  from (values ('impressions'), ('product_views')) p (parent)
  join pg_inherits i on i.inhparent = to_regclass('public.' || p.parent)
  join pg_class c on c.oid = i.inhrelid
  where c.relname = p.parent || '_default'
    or c.relname >= p.parent || to_char(now() - interval '1 month', '"_"YYYYMM')
      and c.relname <= p.parent || to_char(now(), '"_"YYYYMM')
$$;

create or replace function private.metrics() returns table (figure text, label text, value double precision)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select * from private.inserted_rows()
  union all
  select unnest(array['model_version', 'model_created']), '', unnest(array[m.version, extract(epoch from m.created_at)])
  from (select version, created_at from public.recommendation_models order by version desc limit 1) m
  union all
  select unnest(array['trained_model_version', 'trained_model_created']), '',
    unnest(array[t.version, extract(epoch from t.created_at)])
  from (select version, created_at from public.trained_models where withdrawn_at is null order by version desc limit 1) t
  union all
  select 'backup', b.kind, extract(epoch from max(b.finished_at))::double precision
  from private.backup_runs b where b.failure is null group by b.kind
  union all
  (select 'backup_failed', '', (b.failure is not null)::integer from private.backup_runs b order by b.id desc limit 1)
  union all
  -- Nobody but members of pg_monitor sees how far a standby is.
  select 'replication_lag', coalesce(r.application_name, ''),
    max(coalesce(extract(epoch from r.replay_lag), 0))::double precision
  from pg_stat_replication r where r.state = 'streaming' group by r.application_name
  union all
  select * from private.wal_metrics()
  union all
  select 'connections', '', sum(d.numbackends) from pg_stat_database d
  union all
  select 'max_connections', '', (current_setting('max_connections')::integer
    - current_setting('superuser_reserved_connections')::integer
    - coalesce(current_setting('reserved_connections', true), '0')::integer)
  union all
  select 'database_size', '', pg_database_size(current_database())
  union all
  select unnest(array['mails_waiting', 'mails_due_seconds']), '', unnest(array[count(*), coalesce(extract(epoch from
    now() - min(w.next_attempt_at)), 0)]::double precision[])
  from (
    select o.next_attempt_at from private.outbox o where o.next_attempt_at <= now() and o.expires_at > now()
    order by o.next_attempt_at limit 10000
  ) w
  union all
  select unnest(array['jobs_queued', 'jobs_failed', 'jobs_due_seconds']), '', unnest(array[coalesce(sum(j.queued), 0),
    coalesce(sum(j.failed), 0), coalesce(max(j.oldest_seconds), 0)]::double precision[])
  from private.job_counts() j
  union all
  select 'postponed_rollup_days', '', count(*) from (select from private.rollup_days_due d limit 10000) d
$$;

create or replace function private.wal_metrics() returns table (figure text, label text, value double precision)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  archiver record;
  segment_bytes bigint := (select setting from pg_catalog.pg_settings where name = 'wal_segment_size')::bigint;
  archived bigint := 0;
begin
  -- The command of an embedded Postgres without backups does nothing.
  if pg_catalog.pg_is_in_recovery() or pg_catalog.current_setting('archive_mode') = 'off'
    or pg_catalog.current_setting('archive_library') = '' and pg_catalog.current_setting('archive_command') in ('', 'true')
  then
    return;
  end if;
  select * into archiver from pg_catalog.pg_stat_archiver;
  if archiver.last_archived_wal ~ '^[0-9A-F]{24}' then
    archived := (('x' || pg_catalog.substr(archiver.last_archived_wal, 9, 8))::bit(32)::bigint * (4294967296 / segment_bytes)
      + ('x' || pg_catalog.substr(archiver.last_archived_wal, 17, 8))::bit(32)::bigint + 1) * segment_bytes;
  end if;
  return query values
    ('wal_archived', '', extract(epoch from coalesce(archiver.last_archived_time, archiver.stats_reset))::double precision),
    ('wal_unarchived', '', (pg_catalog.pg_current_wal_lsn() - '0/0'::pg_lsn - archived)::double precision),
    ('wal_archive_failures', '', archiver.failed_count::double precision);
end
$$;

comment on function private.inserted_rows() is 'Rows that were inserted into the tables of what people do.';
comment on function private.wal_metrics() is 'How far the WAL is archived; nothing where it is not, or on a standby.';
comment on function private.metrics() is 'Figures for /metrics. None is about a person.';
revoke all on function private.inserted_rows(), private.wal_metrics(), private.metrics() from public, anon, authenticated;
grant execute on function private.metrics() to service_role;
