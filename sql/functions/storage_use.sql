-- Bytes stored per day: docs/limits.md. Each process adds its counts in batches.

create or replace function private.add_storage_use(p_days date[], p_subjects bytea[], p_bytes bigint[])
returns table (day date, subject bytea, bytes bigint)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  delete from private.storage_use u where u.day < (now() at time zone 'utc')::date - 1;
  return query
  -- In a fixed order, so that two processes that add to the same rows cannot deadlock.
  insert into private.storage_use as u (day, subject, bytes)
  select a.day, a.subject, sum(a.bytes)::bigint
  from unnest(p_days, p_subjects, p_bytes) a (day, subject, bytes)
  group by a.day, a.subject
  order by a.day, a.subject
  on conflict on constraint storage_use_pkey do update set bytes = u.bytes + excluded.bytes
  returning u.day, u.subject, u.bytes;
end
$$;
comment on function private.add_storage_use(date[], bytea[], bigint[]) is
  'Adds bytes to the counts of these subjects on these days; returns the sums.';
revoke all on function private.add_storage_use(date[], bytea[], bigint[]) from public, anon, authenticated;
grant execute on function private.add_storage_use(date[], bytea[], bigint[]) to service_role;

-- What people store by SQL, as through Supabase's data API, which knows nothing of STORAGE_LIMIT_*: the defaults of these
-- hold there, per person. The API counts itself, in memory; none of its statements writes more than 1,000 rows for a person.
create or replace function private.limit_storage() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  most bigint;
  total bigint;
begin
  if not coalesce(nullif(current_setting('role'), 'none'), session_user) in ('anon', 'authenticated') then
    return null;
  end if;
  if exists (select from private.api_log_ins l where l.name = session_user) then
    most := 1000;
    total := (select count(*) from written);
  else
    most := case when auth.role() = 'authenticated' and coalesce(auth.jwt() ->> 'is_anonymous', '') <> 'true'
      then 200000000 else 20000000 end;
    insert into private.storage_use as u (day, subject, bytes)
    select (now() at time zone 'utc')::date, sha256(coalesce(uuid_send(auth.uid()), '')),
      count(*) * tg_argv[0]::integer + coalesce(sum(pg_column_size(w.*)), 0)
    from written w
    on conflict on constraint storage_use_pkey do update set bytes = u.bytes + excluded.bytes
    returning u.bytes into total;
  end if;
  if total > most then
    raise program_limit_exceeded using message = 'more is stored than may be: docs/limits.md';
  end if;
  return null;
end
$$;
comment on function private.limit_storage() is
  'Refuses a statement of a person with which they would store too much: docs/limits.md. The argument is what a row takes '
  'beside its columns.';
revoke all on function private.limit_storage() from public, anon, authenticated;

create or replace trigger affiliate_clicks_stored after insert on public.affiliate_clicks
  referencing new table as written for each statement execute function private.limit_storage(1000);
create or replace trigger analytics_events_stored after insert on public.analytics_events
  referencing new table as written for each statement execute function private.limit_storage(200);
create or replace trigger consents_stored after insert on public.consents
  referencing new table as written for each statement execute function private.limit_storage(1000);
create or replace trigger dismissed_reasons_stored after insert on public.dismissed_reasons
  referencing new table as written for each statement execute function private.limit_storage(1000);
create or replace trigger gift_links_stored after insert on public.gift_links
  referencing new table as written for each statement execute function private.limit_storage(1000);
create or replace trigger occasions_stored after insert on public.occasions
  referencing new table as written for each statement execute function private.limit_storage(1000);
create or replace trigger privacy_requests_stored after insert on public.privacy_requests
  referencing new table as written for each statement execute function private.limit_storage(1000);
create or replace trigger product_views_stored after insert on public.product_views
  referencing new table as written for each statement execute function private.limit_storage(100);
create or replace trigger recipients_stored after insert on public.recipients
  referencing new table as written for each statement execute function private.limit_storage(1000);
create or replace trigger recommendation_feedback_stored after insert on public.recommendation_feedback
  referencing new table as written for each statement execute function private.limit_storage(1000);
create or replace trigger swipes_stored after insert on public.swipes
  referencing new table as written for each statement execute function private.limit_storage(700);
create or replace trigger dismissed_reasons_rewritten after update on public.dismissed_reasons
  referencing new table as written for each statement execute function private.limit_storage(1000);
create or replace trigger gift_links_rewritten after update on public.gift_links
  referencing new table as written for each statement execute function private.limit_storage(1000);
create or replace trigger occasions_rewritten after update on public.occasions
  referencing new table as written for each statement execute function private.limit_storage(1000);
create or replace trigger profiles_rewritten after update on public.profiles
  referencing new table as written for each statement execute function private.limit_storage(1000);
create or replace trigger recipients_rewritten after update on public.recipients
  referencing new table as written for each statement execute function private.limit_storage(1000);
create or replace trigger swipes_rewritten after update on public.swipes
  referencing new table as written for each statement execute function private.limit_storage(700);
