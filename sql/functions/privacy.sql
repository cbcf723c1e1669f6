-- Erasure, export of log-ins, retention. docs/privacy.md

-- plpgsql throughout: auth.users may be another service's, lack columns, or not exist.
create or replace function private.delete_profile(p_user uuid) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- First, as imports do: services/ledger.py.
  perform from public.profiles p where p.id = p_user for update;
  -- The foreign keys would do the same; where tables are distributed by person, these two are not there.
  update public.affiliate_clicks set gift_link_user_id = null, gift_link_id = null where gift_link_user_id = p_user;
  update public.conversions set user_id = null where user_id = p_user;
  delete from public.profiles where id = p_user;
end
$$;
comment on function private.delete_profile(uuid) is 'Deletes a profile with all its person''s rows, by cascade.';

create or replace function private.delete_person(p_user uuid) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  may_delete_log_in boolean := true;
begin
  begin
    delete from auth.users where id = p_user;
  exception when insufficient_privilege or undefined_table then
    may_delete_log_in := false;
  end;
  perform private.delete_profile(p_user);
  return may_delete_log_in;
end
$$;
comment on function private.delete_person(uuid) is
  'Deletes a person with all their data, by cascade; false if the log-in is left to the service that manages it.';

create or replace function private.erase_person(p_user uuid, p_subject_hashes bytea[]) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into public.erasure_tombstones (subject_hash)
  select pg_catalog.unnest(p_subject_hashes) on conflict do nothing;
  return private.delete_person(p_user);
end
$$;
comment on function private.erase_person(uuid, bytea[]) is
  'The same, and leaves tombstones for the person and for merged sessions, so that a restored backup can be erased again.';

create or replace function private.export_log_in(p_user uuid) returns jsonb
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  log_in_columns constant text[] := array['id', 'email', 'canonical_email', 'phone', 'email_confirmed_at', 'is_anonymous',
    'raw_app_meta_data', 'raw_user_meta_data', 'last_sign_in_at', 'created_at', 'updated_at'];
  factor_columns constant text[] := array['id', 'user_id', 'friendly_name', 'factor_type', 'status', 'last_challenged_at',
    'created_at', 'updated_at'];
  log_ins jsonb := '[]';
  factors jsonb := '[]';
begin
  begin
    select coalesce(pg_catalog.jsonb_agg((
      select pg_catalog.jsonb_object_agg(c.key, c.value) from pg_catalog.jsonb_each(pg_catalog.to_jsonb(u)) c
      where c.key = any (log_in_columns))), '[]')
    into log_ins from auth.users u where u.id = p_user;
    if pg_catalog.to_regclass('auth.mfa_factors') is not null then
      select coalesce(pg_catalog.jsonb_agg((
        select pg_catalog.jsonb_object_agg(c.key, c.value) from pg_catalog.jsonb_each(pg_catalog.to_jsonb(f)) c
        where c.key = any (factor_columns))), '[]')
      into factors from auth.mfa_factors f where f.user_id = p_user;
    end if;
  exception when insufficient_privilege or undefined_table then
    null;  -- another service's; ask there
  end;
  return pg_catalog.jsonb_build_object('auth.users', log_ins, 'auth.mfa_factors', factors);
end
$$;
comment on function private.export_log_in(uuid) is 'A person''s rows in the auth schema, without secrets.';

create or replace function private.purge_partitioned(p_parent text, p_days integer, p_most integer) returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '2s'
as $$
declare
  cutoff timestamptz := now() - pg_catalog.make_interval(days => p_days);
  partition text;
  counted bigint;
  removed bigint := 0;
begin
  if p_days < 31 or pg_catalog.to_regclass(pg_catalog.format('public.%I', p_parent)) is null then
    return 0;
  end if;
  for partition in
    select c.relname from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid
    where i.inhparent = pg_catalog.format('public.%I', p_parent)::regclass
      and c.relname ~ ('^' || p_parent || '_[0-9]{6}$')
      and pg_catalog.to_date(right(c.relname, 6), 'YYYYMM') + interval '1 month' <= cutoff at time zone 'UTC'
  loop
    execute pg_catalog.format('select count(*) from public.%I', partition) into counted;
    execute pg_catalog.format('drop table public.%I', partition);
    -- No trigger fires for these rows.
    perform private.note_days_between(m.since, m.since + interval '1 month' - interval '1 day')
    from (select pg_catalog.to_date(right(partition, 6), 'YYYYMM')::timestamp at time zone 'UTC' as since) m;
    removed := removed + counted;
  end loop;
  -- The bound is given twice, so that partitions of younger rows are neither read nor locked.
  execute pg_catalog.format(
    'delete from public.%1$I where id < $1'
    ' and (user_id, id) in (select user_id, id from public.%1$I where id < $1 limit $2)', p_parent)
    using private.uuid_v7_floor(cutoff), p_most;
  get diagnostics counted = row_count;
  return removed + counted;
end
$$;
comment on function private.purge_partitioned(text, integer, integer) is
  'Drops partitions whose rows are all older, and deletes up to so many other older rows; returns the number of rows.';

create or replace function private.purge_anonymous(p_days integer, p_most integer) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  cutoff timestamptz := now() - pg_catalog.make_interval(days => greatest(p_days, 1));
  since uuid := private.uuid_v7_floor(cutoff);
  person uuid;
  removed integer := 0;
begin
  for person in
    select p.id from public.profiles p
    where p.is_anonymous and p.created_at < cutoff and p.updated_at < cutoff
      and not exists (select from public.user_sessions s where s.user_id = p.id and s.last_used_at >= cutoff)
      and not exists (select from public.swipes s where s.user_id = p.id and s.created_at >= cutoff)
      -- If another service manages the sessions, only these rows show activity. Their ids carry the time, and are a key.
      and not exists (
        select from public.affiliate_clicks t where t.user_id = p.id and t.id >= since
        union all select from public.analytics_events t where t.user_id = p.id and t.id >= since
        union all select from public.consents t where t.user_id = p.id and t.id >= since
        union all select from public.dismissed_reasons t where t.user_id = p.id and t.id >= since
        union all select from public.gift_links t where t.user_id = p.id and t.id >= since
        union all select from public.impressions t where t.user_id = p.id and t.id >= since
        union all select from public.occasions t where t.user_id = p.id and t.id >= since
        union all select from public.personality_assessment_history t where t.user_id = p.id and t.id >= since
        union all select from public.product_views t where t.user_id = p.id and t.id >= since
        union all select from public.quiz_drafts t where t.user_id = p.id and t.updated_at >= cutoff
        union all select from public.recipients t where t.user_id = p.id and t.id >= since
        union all select from public.recommendation_feedback t where t.user_id = p.id and t.id >= since)
    limit p_most
    for update of p skip locked
  loop
    perform private.delete_person(person);
    removed := removed + 1;
  end loop;
  return removed;
end
$$;
comment on function private.purge_anonymous(integer, integer) is
  'Deletes anonymous sessions that were idle for so many days, with all their data, at most so many; returns how many.';

revoke all on function private.delete_profile(uuid), private.delete_person(uuid), private.erase_person(uuid, bytea[]),
  private.export_log_in(uuid), private.purge_partitioned(text, integer, integer), private.purge_anonymous(integer, integer)
  from public, anon, authenticated, service_role;
grant execute on function private.erase_person(uuid, bytea[]), private.export_log_in(uuid) to service_role;
