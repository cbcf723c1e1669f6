-- The only function that writes signals, from the swipes: they count for popularity, so nobody may invent them.

-- One plan for any number of products: each is looked up by the index. Volatile: its statements see what the calling
-- statement has written and what others have committed by then, whatever that statement's snapshot. Swipes for somebody
-- else are no signal.
create or replace function private.sync_signals(p_products uuid[]) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
declare
  person constant uuid := auth.uid();
begin
  if person is null then
    raise insufficient_privilege using message = 'signals are of a person';
  end if;
  if p_products is null then
    p_products := array(
      select product_id from public.swipes where user_id = person
      union select product_id from public.product_signals where user_id = person);
  else
    -- As the foreign keys would at the end, but before anything that a merge wants that has locked a product: neither waits
    -- for the other. A merge that this waited for has moved the product; private.follow_merges() writes about that one.
    perform from public.products p where p.id = any (p_products) order by p.id for key share;
    perform from public.products p
    where p.id in (select o.product_id from public.product_offers o where o.id = any (p_products))
    order by p.id for key share;
  end if;
  perform private.mark_personality_due();
  with newest as materialized (
    select n.*
    from (select distinct product_id from pg_catalog.unnest(p_products) product_id) wanted
    cross join lateral (
      select s.product_id, s.id, s.direction, s.preference_strength, s.created_at from public.swipes s
      where s.user_id = person and s.product_id = wanted.product_id and s.undone_at is null
        and not s.is_for_somebody_else
      order by s.created_at desc, s.id desc limit 1) n
  ),
  gone as (
    delete from public.product_signals g
    where g.user_id = person and g.product_id = any (p_products)
      and g.product_id not in (select n.product_id from newest n)
  )
  insert into public.product_signals as g (user_id, product_id, swipe_id, direction, preference_strength, swiped_at)
  select person, n.product_id, n.id, n.direction, n.preference_strength, n.created_at from newest n
  on conflict (user_id, product_id) do update set
    swipe_id = excluded.swipe_id, direction = excluded.direction,
    preference_strength = excluded.preference_strength, swiped_at = excluded.swiped_at
  where (g.swipe_id, g.direction, g.preference_strength, g.swiped_at)
    is distinct from (excluded.swipe_id, excluded.direction, excluded.preference_strength, excluded.swiped_at);
end
$$;
comment on function private.sync_signals(uuid[]) is
  'Updates the caller''s signals of these products (null: all) from the caller''s swipes. The caller holds the person''s lock.';

revoke all on function private.sync_signals(uuid[]) from public;
grant execute on function private.sync_signals(uuid[]) to anon, authenticated, service_role;

-- The weight of signals for other people. Everything computed from all people's swipes reads this and applies the
-- weights; domain/trust.py explains the formula. Each network's share needs the sums of the one below it, hence three
-- levels. Their partitions have a common prefix, so that one sort serves all three, and start with the product, so that
-- a single product is looked up by its index.
create or replace view private.origins with (security_invoker = true) as
select p.id as user_id, p.email_verified_at is not null and not p.is_anonymous as is_verified,
  least(p.created_at, first.created_at) as came_at, first.networks
from public.profiles p
left join lateral (
  select s.created_at, s.networks from public.user_sessions s where s.user_id = p.id
  order by s.networks is null, s.created_at, s.id limit 1) first on true;
comment on view private.origins is
  'Per person: since when, and from which networks (hashes of household, site and range), they are here.';
revoke all on table private.origins from public, anon, authenticated, service_role;

create or replace view private.voters with (security_invoker = true) as
select o.user_id, o.is_verified, case when o.is_verified then 4 else 1 end as factor,
  least(1, (extract(epoch from now() - o.came_at)::double precision / 86400 - 3) / 4) as ripeness,
  -- People whose network is unknown count as one range if they came in the same 30 days.
  coalesce(o.networks[1], uuid_send(o.user_id)) as household_hash,
  coalesce(o.networks[2], uuid_send(o.user_id)) as site_hash,
  coalesce(o.networks[3], int8send(floor(extract(epoch from o.came_at) / 2592000)::bigint)) as range_hash
from private.origins o
where o.came_at < now() - interval '3 days';
comment on view private.voters is
  'People who came three days ago or earlier: their ripeness and networks, and by how much these may hold more of them.';
revoke all on table private.voters from public, anon, authenticated, service_role;

create or replace view private.trusted_signals with (security_invoker = true) as
select user_id, product_id, direction, preference_strength, swiped_at,
  weight * least(1, 8 * factor / sum(weight) over (
    partition by product_id, is_verified, range_hash)) as weight
from (
  select user_id, product_id, direction, preference_strength, swiped_at, is_verified, factor, range_hash,
    weight * least(1, 2 * factor / sum(weight) over (
      partition by product_id, is_verified, range_hash, site_hash)) as weight
  from (
    select user_id, product_id, direction, preference_strength, swiped_at, is_verified, factor, range_hash, site_hash,
      ripeness * least(1, factor / sum(ripeness) over (
        partition by product_id, is_verified, range_hash, site_hash, household_hash)) as weight
    from (
      select g.user_id, g.product_id, g.direction, g.preference_strength, g.swiped_at, v.is_verified, v.factor,
        v.ripeness, v.household_hash, v.site_hash, v.range_hash
      from public.product_signals g
      join private.voters v on v.user_id = g.user_id
      where g.preference_strength is not null
    ) ripe
  ) households
) sites;
comment on view private.trusted_signals is
  'All people''s signals with a preference, and the weight of each for other people (0..1). Without signals of people '
  'who came less than three days ago.';
revoke all on table private.trusted_signals from public, anon, authenticated, service_role;

-- For an unknown timestamp the planner expects that half of all swipes are newer, and would scan them from the start
-- until it finds one; new swipes are at the end.
create or replace function private.swiped_since(p_at timestamptz) returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
  select exists (select from public.swipes where created_at > p_at)
$$;
comment on function private.swiped_since(timestamptz) is 'Whether anybody swiped after this timestamp.';
revoke all on function private.swiped_since(timestamptz) from public;
grant execute on function private.swiped_since(timestamptz) to service_role;
