-- Offers of products. What a shop asks is in product_offers; a product shows what its leading offer asks. Two functions
-- keep them in step: private.lead_products() copies the leading offer to its product, private.note_products() passes on to
-- the offers what is written to products. Both write only what differs, so each ends the other's work. While an import is taken
-- back, offers are restored from its record, and products follow at the end (sql/functions/import_runs.sql).

create or replace function private.lead_products(p_products uuid[]) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan  -- one product needs another plan than thousands
as $$
begin
  -- Two changes of different offers of a product would not see each other. One offer is locked by its own change.
  perform from public.products p
  where p.id in (
    select o.product_id from public.product_offers o
    where o.product_id = any (p_products) group by 1 having count(*) > 1)
  order by p.id for no key update;
  update public.products p set
    offer_id = nullif(b.id, p.id), seller_id = b.retailer_id,
    -- What an administrator unpublished stays so, whoever offers it.
    is_active = b.is_active and not p.edited @> '{unpublished}', price_minor = b.price_minor,
    currency = b.currency, in_stock = b.in_stock, affiliate_url = b.affiliate_url, shipping_minor = b.shipping_minor,
    regular_price_minor = b.regular_price_minor, sale_price_minor = b.sale_price_minor,
    sale_starts_at = b.sale_starts_at, sale_ends_at = b.sale_ends_at
  from (
    select distinct on (o.product_id) o.*
    from public.product_offers o join public.currencies c on c.code = o.currency
    where o.product_id = any (p_products)
    order by o.product_id, o.is_active desc, o.in_stock desc, c.is_default desc, o.currency, o.price_minor,
      o.shipping_minor, o.first_seen_at, o.id
  ) b
  where p.id = b.product_id and (
    coalesce(p.offer_id, p.id), p.seller_id, p.is_active, p.price_minor, p.currency, p.in_stock, p.affiliate_url,
    p.shipping_minor, p.regular_price_minor, p.sale_price_minor, p.sale_starts_at, p.sale_ends_at)
    is distinct from (
    b.id, b.retailer_id, b.is_active and not p.edited @> '{unpublished}', b.price_minor, b.currency, b.in_stock,
    b.affiliate_url, b.shipping_minor, b.regular_price_minor, b.sale_price_minor, b.sale_starts_at, b.sale_ends_at);
end
$$;
comment on function private.lead_products(uuid[]) is
  'Gives products the price, stock, link and shop of their leading offer: active, in stock, in the default currency, cheapest.';

create or replace function private.note_offers() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
as $$
declare
  -- Not now(): of two transactions the later change may be of the one that began earlier.
  seen timestamptz := clock_timestamp();
  affected uuid[];
begin
  if tg_op = 'INSERT' then
    insert into public.product_prices (product_id, valid_from, retailer_id, price_minor, currency)
    select c.id, seen, c.retailer_id, c.price_minor, c.currency from changed c
    on conflict on constraint product_prices_pkey do nothing;
    -- A product that is new shows its own offer already.
    affected := array(select distinct c.product_id from changed c where c.product_id <> c.id);
  elsif tg_op = 'UPDATE' then
    -- By execute, which counts the changed rows each time. A plan is kept for the number of its first time, which may be
    -- none: as a nested loop of both tables it would take minutes for thousands.
    execute $q$
      insert into public.product_prices (product_id, valid_from, retailer_id, price_minor, currency)
      select c.id, $1, c.retailer_id, c.price_minor, c.currency
      from changed c join previous o on o.id = c.id
      where (c.price_minor, c.currency, c.retailer_id) is distinct from (o.price_minor, o.currency, o.retailer_id)
      on conflict on constraint product_prices_pkey do update set
        price_minor = excluded.price_minor, currency = excluded.currency
      $q$ using seen;
    execute $q$
      select array_agg(i.product_id)
      from changed c join previous o on o.id = c.id
      cross join lateral unnest(array[c.product_id, o.product_id]) i (product_id)
      where (c.product_id, c.retailer_id, c.is_active, c.price_minor, c.currency, c.in_stock, c.affiliate_url,
          c.shipping_minor, c.regular_price_minor, c.sale_price_minor, c.sale_starts_at, c.sale_ends_at)
        is distinct from
        (o.product_id, o.retailer_id, o.is_active, o.price_minor, o.currency, o.in_stock, o.affiliate_url,
          o.shipping_minor, o.regular_price_minor, o.sale_price_minor, o.sale_starts_at, o.sale_ends_at)
      $q$ into affected;
  else
    affected := array(select distinct o.product_id from previous o where o.product_id <> o.id);
  end if;
  if affected <> '{}' then
    perform private.lead_products(affected);
  end if;
  return null;
end
$$;

create or replace trigger product_offers_inserted after insert on public.product_offers
  referencing new table as changed
  for each statement when (coalesce(current_setting('aclue.import_undo', true), '') <> 'on')
  execute function private.note_offers();
create or replace trigger product_offers_updated after update on public.product_offers
  referencing new table as changed old table as previous
  for each statement when (coalesce(current_setting('aclue.import_undo', true), '') <> 'on')
  execute function private.note_offers();
create or replace trigger product_offers_deleted after delete on public.product_offers
  referencing old table as previous
  for each statement when (coalesce(current_setting('aclue.import_undo', true), '') <> 'on')
  execute function private.note_offers();

-- A statement-level trigger, as imports write thousands of products at a time, and a new model updates the popularity of
-- all of them.
create or replace function private.note_products() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
as $$
declare
  seen timestamptz := clock_timestamp();
begin
  if tg_op = 'INSERT' then
    insert into public.product_offers (
      id, product_id, retailer_id, price_minor, currency, affiliate_url, in_stock, is_active, shipping_minor,
      regular_price_minor, sale_price_minor, sale_starts_at, sale_ends_at, first_seen_at, last_seen_at)
    select p.id, coalesce(o.product_id, p.id), p.retailer_id, p.price_minor, p.currency, p.affiliate_url, p.in_stock,
      p.is_active or p.merged_into is not null, p.shipping_minor, p.regular_price_minor, p.sale_price_minor,
      p.sale_starts_at, p.sale_ends_at, seen, seen
    from changed p left join public.product_offers o on o.id = p.merged_into
    on conflict on constraint product_offers_pkey do nothing;
    return null;
  end if;

  execute $q$  -- each time: private.note_offers()
    with written as materialized (
      select p.*, coalesce(p.offer_id, p.id) as leading
      from changed p join previous o on o.id = p.id
      where p.merged_into is null and (
        p.is_active, p.price_minor, p.currency, p.in_stock, p.affiliate_url, p.shipping_minor, p.regular_price_minor,
        p.sale_price_minor, p.sale_starts_at, p.sale_ends_at)
        is distinct from (
        o.is_active, o.price_minor, o.currency, o.in_stock, o.affiliate_url, o.shipping_minor, o.regular_price_minor,
        o.sale_price_minor, o.sale_starts_at, o.sale_ends_at)
    ),
    passed_on as (
      update public.product_offers f set
        is_active = w.is_active, price_minor = w.price_minor, currency = w.currency, in_stock = w.in_stock,
        affiliate_url = w.affiliate_url, shipping_minor = w.shipping_minor, regular_price_minor = w.regular_price_minor,
        sale_price_minor = w.sale_price_minor, sale_starts_at = w.sale_starts_at, sale_ends_at = w.sale_ends_at,
        -- A product that is published is sold again, whatever an administrator said of its offer before.
        edited = case when w.is_active then array_remove(f.edited, 'inactive') else f.edited end,
        last_seen_at = $1
      from written w
      where f.id = w.leading and (
        f.is_active, f.price_minor, f.currency, f.in_stock, f.affiliate_url, f.shipping_minor, f.regular_price_minor,
        f.sale_price_minor, f.sale_starts_at, f.sale_ends_at)
        is distinct from (
        w.is_active, w.price_minor, w.currency, w.in_stock, w.affiliate_url, w.shipping_minor, w.regular_price_minor,
        w.sale_price_minor, w.sale_starts_at, w.sale_ends_at)
    )
    -- A product that is taken out of the catalogue is sold by nobody.
    update public.product_offers f set is_active = false, last_seen_at = $1
    from written w where f.product_id = w.id and f.id <> w.leading and f.is_active and not w.is_active
    $q$ using seen;
  return null;
end
$$;

create or replace trigger products_offers_inserted after insert on public.products
  referencing new table as changed
  for each statement when (coalesce(current_setting('aclue.import_undo', true), '') <> 'on')
  execute function private.note_products();
create or replace trigger products_offers_updated after update on public.products
  referencing new table as changed old table as previous
  for each statement when (coalesce(current_setting('aclue.import_undo', true), '') <> 'on')
  execute function private.note_products();

create or replace function private.set_seller() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  new.seller_id := coalesce(new.seller_id, new.retailer_id);
  return new;
end
$$;
create or replace trigger products_seller before insert on public.products
  for each row execute function private.set_seller();

-- A listing that becomes another shop's. Rare, and by row: it costs nothing where retailer_id is not written. Its prices
-- stay in the history.
create or replace function private.move_offer() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update public.product_offers set retailer_id = new.retailer_id where id = new.id;
  return null;
end
$$;
create or replace trigger products_offer_moved after update of retailer_id on public.products
  for each row when (old.retailer_id <> new.retailer_id and coalesce(current_setting('aclue.import_undo', true), '') <> 'on')
  execute function private.move_offer();

drop function if exists private.sync_product_offers(), private.remove_product_offer();

create or replace function private.set_default_currency(p_currency text) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  led uuid[];
begin
  if exists (select from public.currencies where is_default and code = p_currency) then
    return 0;
  end if;
  perform pg_advisory_xact_lock(hashtext('aclue.default_currency'));
  update public.currencies set is_default = false where is_default and code <> p_currency;
  update public.currencies set is_default = true where not is_default and code = p_currency;
  led := array(
    select product_id from public.product_offers group by product_id having count(distinct currency) > 1);
  perform private.lead_products(led);
  return cardinality(led);
end
$$;
comment on function private.set_default_currency(text) is
  'Which offers lead follows DEFAULT_CURRENCY; returns how many products were looked at. The server calls it at start.';

revoke all on function private.lead_products(uuid[]), private.note_offers(), private.note_products(),
  private.set_seller(), private.move_offer(), private.set_default_currency(text) from public;
grant execute on function private.set_default_currency(text) to service_role;

-- What the release before wrote between the migration and the triggers.
update public.products set seller_id = retailer_id where seller_id is null;
insert into public.product_offers (
  id, product_id, retailer_id, price_minor, currency, affiliate_url, in_stock, is_active, shipping_minor,
  regular_price_minor, sale_price_minor, sale_starts_at, sale_ends_at, first_seen_at, last_seen_at)
select id, id, retailer_id, price_minor, currency, affiliate_url, in_stock, is_active, shipping_minor,
  regular_price_minor, sale_price_minor, sale_starts_at, sale_ends_at, created_at, updated_at
from public.products p
where merged_into is null and not exists (select from public.product_offers o where o.id = p.id);
update public.product_offers o set
  is_active = p.is_active, price_minor = p.price_minor, currency = p.currency, in_stock = p.in_stock,
  affiliate_url = p.affiliate_url, regular_price_minor = p.regular_price_minor, sale_price_minor = p.sale_price_minor,
  sale_starts_at = p.sale_starts_at, sale_ends_at = p.sale_ends_at
from public.products p
where o.id = p.id and o.product_id = p.id and p.offer_id is null and (
  o.is_active, o.price_minor, o.currency, o.in_stock, o.affiliate_url, o.regular_price_minor, o.sale_price_minor,
  o.sale_starts_at, o.sale_ends_at)
  is distinct from (
  p.is_active, p.price_minor, p.currency, p.in_stock, p.affiliate_url, p.regular_price_minor, p.sale_price_minor,
  p.sale_starts_at, p.sale_ends_at);
