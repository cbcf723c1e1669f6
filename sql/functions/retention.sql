-- Retention: each function deletes at most so many rows that are older than so many days, at least one, and returns how
-- many. Those of other files are listed below; job_worker may call all of them, and has no other right to these tables.

create or replace function private.purge_visits(p_days integer, p_maximum integer) returns bigint
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  with gone as (
    delete from public.session_analytics where (user_id, id) in (
      select user_id, id from public.session_analytics where started_at < now() - make_interval(days => greatest(p_days, 1)) limit p_maximum)
    returning 1)
  select count(*) from gone
$$;
comment on function private.purge_visits(integer, integer) is
  'Visits that began so long ago.';

create or replace function private.purge_redirects(p_days integer, p_maximum integer) returns bigint
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  with gone as (
    delete from public.affiliate_redirects where (user_id, id) in (
      select user_id, id from public.affiliate_redirects where redirected_at < now() - make_interval(days => greatest(p_days, 1)) limit p_maximum)
    returning 1)
  select count(*) from gone
$$;
comment on function private.purge_redirects(integer, integer) is
  'Hits of links.';

create or replace function private.purge_keys(p_days integer, p_maximum integer) returns bigint
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  with gone as (
    delete from public.idempotency_keys where (user_id, operation, key) in (
      select user_id, operation, key from public.idempotency_keys where created_at < now() - make_interval(days => greatest(p_days, 1)) limit p_maximum)
    returning 1)
  select count(*) from gone
$$;
comment on function private.purge_keys(integer, integer) is
  'Keys of repeated requests.';

create or replace function private.purge_attempts(p_days integer, p_maximum integer) returns bigint
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  with gone as (
    delete from private.auth_attempts where (bucket, window_start) in (
      select bucket, window_start from private.auth_attempts where window_start < now() - make_interval(days => greatest(p_days, 1)) limit p_maximum)
    returning 1)
  select count(*) from gone
$$;
comment on function private.purge_attempts(integer, integer) is
  'Counts of attempts to sign in.';

create or replace function private.purge_system_logs(p_days integer, p_maximum integer) returns bigint
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  with gone as (
    delete from public.system_logs where id in (
      select id from public.system_logs where created_at < now() - make_interval(days => greatest(p_days, 1)) order by created_at limit p_maximum)
    returning 1)
  select count(*) from gone
$$;
comment on function private.purge_system_logs(integer, integer) is
  'The oldest entries of the system log.';

-- The network hashes of each person's first session stay: without them each person would count for popularity as a
-- household of their own (private.trusted_signals).
create or replace function private.purge_sessions(p_days integer, p_maximum integer) returns bigint
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  with ended as (
    select * from (
      select s.user_id, s.id, s.amr = '[]' and s.user_agent is null as is_empty,
        s.networks is not null and not exists (
          select from public.user_sessions o where o.user_id = s.user_id and o.networks is not null
            and (o.created_at, o.id) < (s.created_at, s.id)) as is_first
      from public.user_sessions s
      where least(s.expires_at, s.revoked_at) < now() - make_interval(days => greatest(p_days, 1))
    ) over_for_long where not (is_first and is_empty) limit p_maximum
  ), gone as (
    delete from public.user_sessions s using ended e
    where s.user_id = e.user_id and s.id = e.id and not e.is_first
    returning 1
  ), emptied as (
    update public.user_sessions s set user_agent = null, amr = '[]', revoked_at = coalesce(s.revoked_at, now())
    from ended e where s.user_id = e.user_id and s.id = e.id and e.is_first
    returning 1
  )
  select (select count(*) from gone) + (select count(*) from emptied)
$$;
comment on function private.purge_sessions(integer, integer) is
  'Sessions that ended so long ago, expired or revoked.';

revoke all on function private.purge_visits(integer, integer), private.purge_redirects(integer, integer),
  private.purge_keys(integer, integer), private.purge_attempts(integer, integer),
  private.purge_system_logs(integer, integer), private.purge_sessions(integer, integer)
  from public, anon, authenticated, service_role;
grant execute on function private.purge_visits(integer, integer), private.purge_redirects(integer, integer),
  private.purge_keys(integer, integer), private.purge_attempts(integer, integer),
  private.purge_system_logs(integer, integer), private.purge_sessions(integer, integer),
  private.purge_anonymous(integer, integer), private.purge_partitioned(text, integer, integer),
  private.purge_audit_log(integer, integer), private.purge_import_changes(integer, integer) to job_worker;
