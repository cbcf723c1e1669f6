-- Sales start and end by the clock, without an import.

create or replace function private.apply_sales() returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  changed bigint;
begin
  with due as (
    select o.id, case
      when (o.sale_starts_at is null or o.sale_starts_at <= now()) and (o.sale_ends_at is null or now() < o.sale_ends_at)
        then o.sale_price_minor
      else o.regular_price_minor
    end as price_minor
    from public.product_offers o where o.sale_price_minor is not null
  )
  update public.product_offers o set price_minor = d.price_minor
  from due d where d.id = o.id and o.price_minor <> d.price_minor;
  get diagnostics changed = row_count;
  return changed;
end
$$;
comment on function private.apply_sales() is
  'Gives offers with a sale the price that holds now; returns how many changed. The server runs it every minute.';

revoke all on function private.apply_sales() from public;
grant execute on function private.apply_sales() to service_role;
