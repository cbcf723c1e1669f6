-- Keeps profiles in step with auth.users, ours or Supabase's: no foreign key crosses into a schema we may not own.

create or replace function private.sync_profile() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Supabase may keep the row of a deleted account, with deleted_at and a hash for an e-mail; our table has no such column.
  if tg_op = 'DELETE' or pg_catalog.to_jsonb(new) ->> 'deleted_at' is not null then
    perform private.delete_profile(old.id);
    return null;
  end if;
  -- Accounts of single sign-on may share an e-mail. Here it stays with the first: a sign-up must not fail for it.
  insert into public.profiles (id, email, email_verified_at, is_anonymous, display_name)
  values (
    new.id,
    case when not exists (select from public.profiles p where lower(p.email) = lower(new.email) and p.id <> new.id)
      then nullif(new.email, '') end,
    new.email_confirmed_at,
    coalesce(new.is_anonymous, false),
    nullif(left(btrim(coalesce(new.raw_user_meta_data ->> 'display_name', '')), 100), ''))
  on conflict (id) do update set
    email = excluded.email, email_verified_at = excluded.email_verified_at, is_anonymous = excluded.is_anonymous;
  return null;
end
$$;
revoke all on function private.sync_profile() from public;

-- Creates profiles for existing accounts, once. The trigger is created first, whose lock makes concurrent sign-ups wait.
do $$
begin
  if not exists (
    select from pg_trigger where tgrelid = 'auth.users'::regclass and tgname = 'aclue_profile_written') then
    create trigger aclue_profile_written after insert or update of email, email_confirmed_at, is_anonymous on auth.users
      for each row execute function private.sync_profile();
    insert into public.profiles (id, email, email_verified_at, is_anonymous)
    select u.id, case row_number() over (partition by lower(u.email) order by u.created_at) when 1 then nullif(u.email, '') end,
      u.email_confirmed_at, coalesce(u.is_anonymous, false)
    from auth.users u
    where to_jsonb(u) ->> 'deleted_at' is null
    on conflict (id) do nothing;
  end if;
end
$$;

create or replace trigger aclue_profile_written after insert or update of email, email_confirmed_at, is_anonymous on auth.users
  for each row execute function private.sync_profile();
create or replace trigger aclue_profile_deleted after delete on auth.users
  for each row execute function private.sync_profile();

-- Nobody may read what a click earned; this counts only how many earned something.
create or replace function private.count_conversions(p_user uuid, p_since timestamptz) returns bigint
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select count(actual_commission_minor) from public.affiliate_clicks
  where user_id = p_user and (p_user = auth.uid() or auth.role() = 'service_role')
    and click_timestamp >= coalesce(p_since, '-infinity')
$$;

create or replace function public.get_user_analytics_summary(
  p_user_id uuid default null, p_since timestamptz default null)
returns table (
  swipes bigint, likes bigint, super_likes bigint, views bigint, affiliate_clicks bigint, conversions bigint,
  sessions bigint)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  with asked as (select coalesce(p_user_id, auth.uid()) as id, coalesce(p_since, '-infinity') as since)
  select s.swipes, s.likes, s.super_likes, v.views, c.clicks, private.count_conversions(a.id, a.since), u.sessions
  from asked a
  cross join lateral (
    select count(*) as swipes, count(*) filter (where direction = 'right') as likes,
      count(*) filter (where direction = 'up') as super_likes
    from public.swipes where user_id = a.id and undone_at is null and created_at >= a.since
  ) s
  cross join lateral (
    select count(*) as clicks from public.affiliate_clicks
    where user_id = a.id and click_timestamp >= a.since and substitute_of is null
  ) c
  cross join lateral (
    select count(*) as views from public.product_views where user_id = a.id and view_timestamp >= a.since
  ) v
  cross join lateral (
    select count(*) as sessions from public.user_sessions where user_id = a.id and created_at >= a.since
  ) u
$$;
comment on function public.get_user_analytics_summary(uuid, timestamptz) is
  'Counts of a person''s (null: the caller''s) activity since a timestamp (null: ever). Row level security applies: for '
  'other people the counts are 0, unless service_role asks. A click has converted once it earned a commission.';
-- Its predecessor, which knew only the caller.
drop function if exists private.get_user_analytics_summary(timestamptz);
revoke all on function private.count_conversions(uuid, timestamptz),
  public.get_user_analytics_summary(uuid, timestamptz) from public;
grant execute on function private.count_conversions(uuid, timestamptz),
  public.get_user_analytics_summary(uuid, timestamptz) to anon, authenticated, service_role;
