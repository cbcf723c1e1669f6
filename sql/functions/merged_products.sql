-- Merging and splitting products: docs/decisions/0013-offers.md. The older product stays; the other one's row stays, too,
-- inactive, as the listing of its shop, so that its id leads to the product (product_offers) and a split loses nothing.

-- In this order a row is moved after those that it refers to.
create or replace function private.tables_of_products() returns table (name regclass)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select unnest(array[
    'public.recommendations', 'public.personality_recommendations', 'public.swipes', 'public.product_views',
    'public.impressions', 'public.recommendation_feedback', 'public.affiliate_clicks', 'public.gift_links',
    'public.dismissed_reasons']::regclass[])
$$;
comment on function private.tables_of_products() is 'Rows of people that name a product and move when it is merged. Conversions do not: they say what was sold.';

-- Rows that the product has already stay where they are: a person's same recommendation of both, the same dismissal.
create or replace function private.row_is_double(p_table regclass) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select case p_table::text
    when 'public.recommendations' then
      'exists (select from public.recommendations d where d.user_id = t.user_id and d.product_id = w.target
         and d.recommendation_context = t.recommendation_context and (d.generated_at = t.generated_at
           or (d.model_version, d.arm, d.propensity) = (t.model_version, t.arm, t.propensity)))'
    when 'public.personality_recommendations' then
      'exists (select from public.personality_recommendations d where d.user_id = t.user_id and d.product_id = w.target
         and d.personality_profile_id = t.personality_profile_id)'
    when 'public.dismissed_reasons' then
      't.restored_at is null and exists (select from public.dismissed_reasons d where d.user_id = t.user_id
         and d.product_id = w.target and d.restored_at is null)'
    else 'false' end
$$;

create or replace function private.renew_signals(p_users uuid[], p_products uuid[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
as $$
begin
  with wanted as materialized (
    select distinct u.user_id, u.product_id from unnest(p_users, p_products) u (user_id, product_id)
  ),
  newest as materialized (
    select w.user_id, n.*
    from wanted w cross join lateral (
      select s.product_id, s.id, s.direction, s.preference_strength, s.created_at from public.swipes s
      where s.user_id = w.user_id and s.product_id = w.product_id and s.undone_at is null and not s.is_for_somebody_else
      order by s.created_at desc, s.id desc limit 1) n
  ),
  gone as (
    delete from public.product_signals g using wanted w
    where g.user_id = w.user_id and g.product_id = w.product_id and not exists (
      select from newest n where n.user_id = w.user_id and n.product_id = w.product_id)
  ),
  due as (
    insert into private.personality_due as d (user_id) select distinct user_id from wanted
    on conflict (user_id) do update set marks = d.marks + 1
  )
  insert into public.product_signals as g (user_id, product_id, swipe_id, direction, preference_strength, swiped_at)
  select n.user_id, n.product_id, n.id, n.direction, n.preference_strength, n.created_at from newest n
  on conflict (user_id, product_id) do update set
    swipe_id = excluded.swipe_id, direction = excluded.direction,
    preference_strength = excluded.preference_strength, swiped_at = excluded.swiped_at
  where (g.swipe_id, g.direction, g.preference_strength, g.swiped_at)
    is distinct from (excluded.swipe_id, excluded.direction, excluded.preference_strength, excluded.swiped_at);
end
$$;
comment on function private.renew_signals(uuid[], uuid[]) is
  'Recomputes the signals of these pairs of a person and a product from their swipes; see private.sync_signals().';

create or replace function private.move_merged_rows(p_from uuid[], p_to uuid[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
as $$
declare
  t record;
  people uuid[];
  targets uuid[];
begin
  with gone as (
    delete from public.product_signals g using unnest(p_from, p_to) w (source, target) where g.product_id = w.source
    returning g.user_id, w.target
  )
  select array_agg(user_id), array_agg(target) into people, targets from gone;
  for t in select * from private.tables_of_products() loop
    execute format('with moved as (
        update %s t set product_id = w.target from unnest($1, $2) w (source, target)
        where t.product_id = w.source and not (%s) returning w.source, t.user_id, t.id)
      insert into private.merged_rows (user_id, product_id, table_name, row_id)
      select user_id, source, %L, id from moved on conflict on constraint merged_rows_pkey do nothing',
      t.name, private.row_is_double(t.name), t.name)
      using p_from, p_to;
  end loop;
  perform private.renew_signals(people, targets);
end
$$;
comment on function private.move_merged_rows(uuid[], uuid[]) is
  'Moves what people did with each of the first products to the second at the same place, and notes what it was.';

-- A statement that began before a merge was committed still wrote about the product that is gone: its foreign key waited for
-- the merge. By statement, because it runs after that wait; a subquery, because a join may be planned as a scan of all offers.
create or replace function private.follow_merges() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  name constant text := format('%I.%I', tg_table_schema, tg_table_name);
  people uuid[];
  products uuid[];
begin
  if not exists (
    select from added a where (select o.product_id from public.product_offers o where o.id = a.product_id) <> a.product_id)
  then
    return null;
  end if;
  execute format('with moved as (
      update %s t set product_id = w.target
      from (
        select a.user_id, a.id, a.product_id as source,
          (select o.product_id from public.product_offers o where o.id = a.product_id) as target
        from added a) w
      where w.target <> w.source and t.user_id = w.user_id and t.id = w.id and t.product_id = w.source and not (%s)
      returning t.user_id, t.id, w.source, w.target),
    noted as (
      insert into private.merged_rows (user_id, product_id, table_name, row_id)
      select user_id, source, %L, id from moved on conflict on constraint merged_rows_pkey do nothing)
    select array_agg(m.user_id), array_agg(p.id) from moved m cross join lateral unnest(array[m.source, m.target]) p (id)',
    name, private.row_is_double(tg_relid), name)
  into people, products;
  if name = 'public.swipes' and people is not null then
    perform private.renew_signals(people, products);
  end if;
  return null;
end
$$;
comment on function private.follow_merges() is
  'Moves new rows of people about a merged product to the product that stays, as private.move_merged_rows() does.';

do $$
declare
  t record;
begin
  for t in select * from private.tables_of_products() loop
    execute format('create or replace trigger rows_follow_merges after insert on %s referencing new table as added
      for each statement execute function private.follow_merges()', t.name);
  end loop;
end
$$;

create or replace function private.merge_products(p_winners uuid[], p_losers uuid[], p_by text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
as $$
declare
  winners uuid[];
  losers uuid[];
begin
  -- Ends the requests that are writing about them, and lets others wait: their foreign keys lock the product.
  perform from public.products p where p.id = any (p_winners || p_losers) order by p.id for update;
  update public.products p set merged_into = w.winner, merged_at = now(), merged_by = p_by, is_active = false
  from unnest(p_winners, p_losers) w (winner, loser) where p.id = w.loser;
  update public.product_offers o set product_id = w.winner
  from unnest(p_winners, p_losers) w (winner, loser) where o.product_id = w.loser;
  -- Nobody can have done anything with a product of this transaction.
  select array_agg(w.winner), array_agg(w.loser) into winners, losers
  from unnest(p_winners, p_losers) w (winner, loser)
  join public.products p on p.id = w.loser and p.created_at < now();
  if losers is not null then
    perform private.move_merged_rows(losers, winners);
  end if;
end
$$;
comment on function private.merge_products(uuid[], uuid[], text) is
  'Merges products, none of which may be merged, into those at the same place; the offers and what people did move.';

create or replace function private.split_products(p_listings uuid[], p_by text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
as $$
declare
  listings uuid[];
  were_of uuid[];  -- the products that the listings are merged into
  t record;
  people uuid[];
  products uuid[];
begin
  -- Listings before the products that they are merged into: in this order a request that wrote about a listing follows the
  -- merge (private.follow_merges), and neither then waits for the other.
  perform from public.products p where p.id = any (p_listings) and p.merged_into is not null order by p.id for update;
  perform from public.products p
  where p.id in (select o.product_id from public.product_offers o where o.id = any (p_listings))
  order by p.id for update;
  -- Those merged last first.
  select array_agg(p.id order by p.merged_at desc, p.id desc), array_agg(o.product_id order by p.merged_at desc, p.id desc)
  into listings, were_of
  from public.products p join public.product_offers o on o.id = p.id
  where p.id = any (p_listings) and p.merged_into is not null;
  if listings is null then
    return;
  end if;
  update public.products p set
    merged_into = null, merged_at = null, merged_by = null,
    is_kept_apart = p.is_kept_apart or p_by = 'administrator'
  where p.id = any (listings);
  -- With what was merged into them, unless it is split, too.
  with recursive own (listing, id) as (
    select l.id, l.id from unnest(listings) l (id)
    union all
    select own.listing, p.id from public.products p join own on p.merged_into = own.id
  )
  update public.product_offers o set product_id = own.listing from own where o.id = own.id;
  -- A row that moved several times goes back to the listing that was merged first.
  for t in select * from private.tables_of_products() loop
    execute format('with back as (
        select distinct on (t.user_id, t.id) t.user_id, t.id, s.listing
        from unnest($1, $2) with ordinality s (listing, was_of, place)
        join private.merged_rows m on m.product_id = s.listing and m.table_name = %L
        join %s t on t.user_id = m.user_id and t.id = m.row_id and t.product_id = s.was_of
        order by t.user_id, t.id, s.place desc)
      update %s t set product_id = b.listing from back b where t.user_id = b.user_id and t.id = b.id',
      t.name, t.name, t.name)
      using listings, were_of;
  end loop;
  select array_agg(m.user_id), array_agg(p.id) into people, products
  from unnest(listings, were_of) s (listing, was_of)
  join private.merged_rows m on m.product_id = s.listing and m.table_name = 'public.swipes'
  cross join lateral unnest(array[s.listing, s.was_of]) p (id);
  delete from private.merged_rows m where m.product_id = any (listings);
  perform private.renew_signals(people, products);
  perform private.refresh_product_features(l.id) from unnest(listings) l (id);
end
$$;
comment on function private.split_products(uuid[], text) is
  'Makes merged listings products of their own again, with their offers and what people did with them before the merge.';

-- The older one stays, or with p_into the second. Both may be ids of merged listings. Under the lock of imports, which
-- merge, too: two merges of one product at a time would not see each other, and both that follow must know what it is by
-- then.
drop function if exists private.merge_two_products(uuid, uuid);
create or replace function private.merge_two_products(p_one uuid, p_other uuid, p_into boolean default false)
returns table (outcome text, product_id uuid, merged_id uuid)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  ids uuid[];
begin
  perform pg_advisory_xact_lock(hashtext('aclue.refresh_model'));
  ids := array(
    select p.id from public.products p
    where p.id in (
      select o.product_id from public.product_offers o where o.id in (p_one, p_other))
    order by p_into and p.id <> (select o.product_id from public.product_offers o where o.id = p_other), p.created_at, p.id);
  if (select count(*) from public.product_offers o where o.id in (p_one, p_other))
    < (case when p_one = p_other then 1 else 2 end)
  then
    return query select 'unknown', null::uuid, null::uuid;
  elsif cardinality(ids) < 2 then
    return query select 'same', ids[1], null::uuid;
  else
    perform private.merge_products(array[ids[1]], array[ids[2]], 'administrator');
    update public.products set is_kept_apart = false where id = ids[2] and is_kept_apart;
    insert into public.audit_log (actor, role, app_role, operation, table_name, row_key, changes)
    values (auth.uid(), coalesce(auth.role(), current_user), private.acting_app_role(), 'merge', 'public.products',
      jsonb_build_object('id', ids[2]), jsonb_build_object('merged_into', jsonb_build_object('old', null, 'new', ids[1])));
    return query select 'merged', ids[1], ids[2];
  end if;
end
$$;
comment on function private.merge_two_products(uuid, uuid, boolean) is
  'By hand: outcome is merged, same or unknown; which product stays, and which was merged into it.';

create or replace function private.split_product(p_id uuid) returns table (outcome text, product_id uuid, split_id uuid)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  was_of uuid;
  listings uuid[];
begin
  perform pg_advisory_xact_lock(hashtext('aclue.refresh_model'));
  was_of := (select o.product_id from public.product_offers o where o.id = p_id);
  listings := case when was_of <> p_id then array[p_id]
    else array(select p.id from public.products p where p.merged_into = p_id order by p.merged_at desc, p.id) end;
  if was_of is null then
    return query select 'unknown', null::uuid, null::uuid;
  elsif listings = '{}' then
    return query select 'whole', p_id, null::uuid;
  else
    perform private.split_products(listings, 'administrator');
    insert into public.audit_log (actor, role, app_role, operation, table_name, row_key, changes)
    select auth.uid(), coalesce(auth.role(), current_user), private.acting_app_role(), 'split', 'public.products',
      jsonb_build_object('id', l.id), jsonb_build_object('merged_into', jsonb_build_object('old', was_of, 'new', null))
    from unnest(listings) l (id);
    return query select 'split', was_of, l.id from unnest(listings) l (id);
  end if;
end
$$;
comment on function private.split_product(uuid) is
  'By hand: a merged listing, or all of a product, become products of their own; outcome is split, whole or unknown.';

-- Two of one shop, or of two brands, are never one, and of what a shop sells under one number only the oldest counts.
-- Numbers that shops give themselves (GS1 prefixes 02, 04 and 20 to 29, and GTIN-8 that begin with 0 or 2) say nothing
-- beyond the shop.
create or replace function private.is_worldwide_gtin(p_gtin14 text) returns boolean
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select p_gtin14 !~ '^.(02|04|2)|^000000[02]'
$$;

create or replace function private.merge_equal_gtins(p_gtins text[]) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
as $$
declare
  winners uuid[];
  losers uuid[];
  merged integer := 0;
begin
  loop
    with listing as materialized (
      select distinct on (lpad(p.gtin, 14, '0'), p.retailer_id)
        lpad(p.gtin, 14, '0') as gtin, p.id, o.product_id
      from public.products p join public.product_offers o on o.id = p.id
      where lpad(p.gtin, 14, '0') = any (p_gtins) and p.gtin is not null and not p.is_kept_apart
        and private.is_worldwide_gtin(lpad(p.gtin, 14, '0'))
      order by lpad(p.gtin, 14, '0'), p.retailer_id, p.created_at, p.id
    ),
    shared as (
      select l.gtin from listing l group by 1 having count(distinct l.product_id) > 1
    ),
    candidate as materialized (
      select distinct l.gtin, l.product_id, p.created_at,
        (select array_agg(distinct k.brand_id) from public.product_offers o join public.products k on k.id = o.id
         where o.product_id = l.product_id and k.brand_id is not null) as brands,
        (select array_agg(o.retailer_id) from public.product_offers o where o.product_id = l.product_id) as shops
      from listing l join shared s using (gtin) join public.products p on p.id = l.product_id
      where not p.is_kept_apart
    ),
    pair as materialized (
      select y.product_id as loser, o.product_id as winner,
        row_number() over (partition by y.product_id order by o.created_at, o.product_id) as choice, y.created_at
      from candidate y join candidate o on o.gtin = y.gtin
        and (o.created_at, o.product_id) < (y.created_at, y.product_id)
      where not o.shops && y.shops
        and (select count(distinct b) from unnest(o.brands || y.brands) b) <= 1
    ),
    -- One for each product in a round: the next round knows the shops and brands that it has then.
    chosen as (
      select distinct on (winner) winner, loser from pair where choice = 1 order by winner, created_at, loser
    )
    select array_agg(c.winner), array_agg(c.loser) into winners, losers
    from chosen c where c.winner not in (select k.loser from chosen k);
    exit when losers is null;
    perform private.merge_products(winners, losers, 'gtin');
    merged := merged + cardinality(losers);
  end loop;
  return merged;
end
$$;
comment on function private.merge_equal_gtins(text[]) is
  'Merges products that several shops sell under one of these numbers of 14 digits; returns how many were merged.';

create or replace function private.split_unequal_gtins(p_listings uuid[]) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
as $$
declare
  found uuid[];
begin
  found := array(
    select p.id from public.products p join public.products m on m.id = p.merged_into
    where (p.id = any (p_listings) or p.merged_into = any (p_listings)) and p.merged_by = 'gtin'
      and (lpad(p.gtin, 14, '0') <> lpad(m.gtin, 14, '0') or p.brand_id <> m.brand_id));
  perform private.split_products(found, 'gtin');
  return cardinality(found);
end
$$;
comment on function private.split_unequal_gtins(uuid[]) is
  'Splits what was merged by a number that is no longer the same, or whose brands are different now; returns how many.';

revoke all on function private.tables_of_products(), private.row_is_double(regclass),
  private.renew_signals(uuid[], uuid[]), private.move_merged_rows(uuid[], uuid[]), private.follow_merges(),
  private.merge_products(uuid[], uuid[], text), private.split_products(uuid[], text),
  private.merge_two_products(uuid, uuid, boolean), private.split_product(uuid), private.is_worldwide_gtin(text),
  private.merge_equal_gtins(text[]), private.split_unequal_gtins(uuid[]) from public;
grant execute on function private.merge_two_products(uuid, uuid, boolean), private.split_product(uuid) to service_role;
