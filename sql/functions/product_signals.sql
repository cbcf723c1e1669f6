-- Signals are written only here, from the swipes: they count for everybody's popularity, so nobody may make them up.

create or replace function private.sync_signals(p_products uuid[]) returns void
language sql security definer
set search_path = ''
as $$
  select private.mark_personality_due();
  with newest as (
    select distinct on (s.product_id) s.product_id, s.id, s.direction, s.preference_strength, s.created_at
    from public.swipes s
    where s.user_id = auth.uid() and s.undone_at is null
      and (p_products is null or s.product_id = any (p_products))
    order by s.product_id, s.created_at desc, s.id desc
  ),
  gone as (
    delete from public.product_signals g
    where g.user_id = auth.uid() and (p_products is null or g.product_id = any (p_products))
      and not exists (select from newest n where n.product_id = g.product_id)
  )
  insert into public.product_signals as g (user_id, product_id, swipe_id, direction, preference_strength, swiped_at)
  select auth.uid(), product_id, id, direction, preference_strength, created_at from newest
  on conflict (user_id, product_id) do update set
    swipe_id = excluded.swipe_id, direction = excluded.direction,
    preference_strength = excluded.preference_strength, swiped_at = excluded.swiped_at
  where g.swipe_id <> excluded.swipe_id
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
