-- Keeps profiles in step with auth.users, ours or Supabase's: no foreign key crosses into a schema we may not own.

create or replace function private.sync_profile() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  if tg_op = 'DELETE' then
    delete from public.profiles where id = old.id;
    return old;
  end if;
  insert into public.profiles (id, email, is_anonymous, display_name)
  values (
    new.id, new.email, coalesce(new.is_anonymous, false),
    nullif(left(btrim(coalesce(new.raw_user_meta_data ->> 'display_name', '')), 100), ''))
  on conflict (id) do update set email = excluded.email, is_anonymous = excluded.is_anonymous;
  return new;
end
$$;
revoke all on function private.sync_profile() from public;

create or replace trigger aclue_profile_written after insert or update of email, is_anonymous on auth.users
  for each row execute function private.sync_profile();
create or replace trigger aclue_profile_deleted after delete on auth.users
  for each row execute function private.sync_profile();

create or replace function private.get_user_analytics_summary(p_since timestamptz)
returns table (
  swipes bigint, likes bigint, super_likes bigint, views bigint, affiliate_clicks bigint, conversions bigint,
  sessions bigint)
language sql stable security definer
set search_path = ''
as $$
  select s.swipes, s.likes, s.super_likes, v.views, c.clicks, c.conversions, u.sessions
  from (
    select count(*) as swipes, count(*) filter (where direction = 'right') as likes,
      count(*) filter (where direction = 'up') as super_likes
    from public.swipes
    where user_id = auth.uid() and undone_at is null and created_at >= coalesce(p_since, '-infinity')
  ) s, (
    select count(*) as clicks, count(actual_commission_minor) as conversions
    from public.affiliate_clicks
    where user_id = auth.uid() and click_timestamp >= coalesce(p_since, '-infinity')
  ) c, (
    select count(*) as views from public.product_views
    where user_id = auth.uid() and view_timestamp >= coalesce(p_since, '-infinity')
  ) v, (
    select count(*) as sessions from public.user_sessions
    where user_id = auth.uid() and created_at >= coalesce(p_since, '-infinity')
  ) u
$$;
comment on function private.get_user_analytics_summary(timestamptz) is
  'The caller''s own counts since a moment (null: ever). A click has converted once it earned a commission.';
revoke all on function private.get_user_analytics_summary(timestamptz) from public;
grant execute on function private.get_user_analytics_summary(timestamptz) to anon, authenticated, service_role;
