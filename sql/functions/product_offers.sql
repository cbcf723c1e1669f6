-- Offers and prices follow products.

-- A statement-level trigger on the new rows, as imports write thousands of products at a time. It compares them with
-- the offers and not with the old rows, so that Postgres need not keep these, and a missed change is caught up.
create or replace function private.sync_product_offers() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan  -- one product needs another plan than thousands
as $$
declare
  -- Not now(): of two transactions the later change may be of the one that began earlier.
  seen timestamptz := pg_catalog.clock_timestamp();
begin
  with differing as materialized (
    select p.id, p.retailer_id, p.price_minor, p.currency, p.affiliate_url, p.in_stock and p.is_active as in_stock,
      (o.price_minor, o.currency) is distinct from (p.price_minor, p.currency) as has_new_price
    from changed p
    left join public.product_offers o on o.product_id = p.id and o.retailer_id = p.retailer_id
    where (o.price_minor, o.currency, o.affiliate_url, o.in_stock)
      is distinct from (p.price_minor, p.currency, p.affiliate_url, p.in_stock and p.is_active)
  ),
  offered as (
    insert into public.product_offers (
      product_id, retailer_id, price_minor, currency, affiliate_url, in_stock, first_seen_at, last_seen_at)
    select id, retailer_id, price_minor, currency, affiliate_url, in_stock, seen, seen from differing
    on conflict on constraint product_offers_pkey do update set
      price_minor = excluded.price_minor, currency = excluded.currency, affiliate_url = excluded.affiliate_url,
      in_stock = excluded.in_stock, last_seen_at = excluded.last_seen_at
  )
  insert into public.product_prices (product_id, valid_from, retailer_id, price_minor, currency)
  select id, seen, retailer_id, price_minor, currency from differing where has_new_price
  on conflict on constraint product_prices_pkey do update set
    price_minor = excluded.price_minor, currency = excluded.currency;
  return null;
end
$$;

create or replace trigger products_offers_inserted after insert on public.products
  referencing new table as changed
  for each statement when (coalesce(current_setting('aclue.import_undo', true), '') <> 'on')
  execute function private.sync_product_offers();
create or replace trigger products_offers_updated after update on public.products
  referencing new table as changed
  for each statement when (coalesce(current_setting('aclue.import_undo', true), '') <> 'on')
  execute function private.sync_product_offers();

-- While an import is taken back, offers and prices are restored from its record (sql/functions/import_runs.sql).

-- A product that another retailer sells from now on is no longer this one's offer. Rare, and by row: it costs nothing
-- where retailer_id is not written. Its prices stay in the history.
create or replace function private.remove_product_offer() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from public.product_offers where product_id = old.id and retailer_id = old.retailer_id;
  return null;
end
$$;

create or replace trigger products_offer_moved after update of retailer_id on public.products
  for each row when (old.retailer_id <> new.retailer_id) execute function private.remove_product_offer();

revoke all on function private.sync_product_offers(), private.remove_product_offer() from public;

-- What was written between the migration and its triggers, by the release before.
with offered as (
  insert into public.product_offers (
    product_id, retailer_id, price_minor, currency, affiliate_url, in_stock, first_seen_at, last_seen_at)
  select id, retailer_id, price_minor, currency, affiliate_url, in_stock and is_active, created_at, updated_at
  from public.products p
  where not exists (
    select from public.product_offers o where o.product_id = p.id and o.retailer_id = p.retailer_id)
  returning product_id, retailer_id, price_minor, currency
)
insert into public.product_prices (product_id, valid_from, retailer_id, price_minor, currency)
select product_id, now(), retailer_id, price_minor, currency from offered
on conflict on constraint product_prices_pkey do nothing;
