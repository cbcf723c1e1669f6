-- Sales start and end by the clock, without an import.

create or replace function private.apply_sales() returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  changed bigint;
begin
  with due as (
    select p.id, case
      when (p.sale_starts_at is null or p.sale_starts_at <= now()) and (p.sale_ends_at is null or now() < p.sale_ends_at)
        then p.sale_price_minor
      else p.regular_price_minor
    end as price_minor
    from public.products p where p.sale_price_minor is not null
  )
  update public.products p set price_minor = d.price_minor
  from due d where d.id = p.id and p.price_minor <> d.price_minor;
  get diagnostics changed = row_count;
  return changed;
end
$$;
comment on function private.apply_sales() is
  'Gives products with a sale the price that holds now; returns how many changed. The server runs it every minute.';

revoke all on function private.apply_sales() from public;
grant execute on function private.apply_sales() to service_role;
