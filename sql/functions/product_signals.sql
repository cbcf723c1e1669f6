-- Signals are written only here, from the swipes: they count for everybody's popularity, so nobody may make them up.

-- One plan for any number of products: each is looked up by the index.
create or replace function private.sync_signals(p_products uuid[]) returns void
language plpgsql security definer
set search_path = ''
set plan_cache_mode = force_generic_plan
as $$
begin
  perform private.mark_personality_due();
  if p_products is null then
    p_products := array(
      select product_id from public.swipes where user_id = auth.uid()
      union select product_id from public.product_signals where user_id = auth.uid());
  end if;
  insert into public.product_signals as g (user_id, product_id, swipe_id, direction, preference_strength, swiped_at)
  select auth.uid(), newest.product_id, newest.id, newest.direction, newest.preference_strength, newest.created_at
  from (select distinct product_id from pg_catalog.unnest(p_products) product_id) wanted
  cross join lateral (
    select s.product_id, s.id, s.direction, s.preference_strength, s.created_at from public.swipes s
    where s.user_id = auth.uid() and s.product_id = wanted.product_id and s.undone_at is null
    order by s.created_at desc, s.id desc limit 1) newest
  on conflict (user_id, product_id) do update set
    swipe_id = excluded.swipe_id, direction = excluded.direction,
    preference_strength = excluded.preference_strength, swiped_at = excluded.swiped_at
  where (g.swipe_id, g.direction, g.preference_strength, g.swiped_at)
    is distinct from (excluded.swipe_id, excluded.direction, excluded.preference_strength, excluded.swiped_at);
  delete from public.product_signals g
  where g.user_id = auth.uid() and g.product_id = any (p_products) and not exists (
    select from public.swipes s where s.user_id = auth.uid() and s.product_id = g.product_id and s.undone_at is null);
end
$$;
comment on function private.sync_signals(uuid[]) is
  'Brings the caller''s own signals of these products (null: of all) in step with the caller''s swipes.';

revoke all on function private.sync_signals(uuid[]) from public;
grant execute on function private.sync_signals(uuid[]) to anon, authenticated, service_role;

-- The planner takes a moment that it does not know for the middle of all swipes and would read them from the start
-- until the first new one, which is the last of them.
create or replace function private.swiped_since(p_at timestamptz) returns boolean
language sql stable
set search_path = ''
set enable_seqscan = off
as $$
  select exists (select from public.swipes where created_at > p_at)
$$;
comment on function private.swiped_since(timestamptz) is 'Whether anybody swiped after this moment.';
revoke all on function private.swiped_since(timestamptz) from public;
grant execute on function private.swiped_since(timestamptz) to service_role;
