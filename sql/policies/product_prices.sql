-- Public; written by private.note_offers().
alter table public.product_prices enable row level security;
revoke all on table public.product_prices from public, anon, authenticated, service_role;

grant select on table public.product_prices to anon, authenticated;
drop policy if exists product_prices_read on public.product_prices;
create policy product_prices_read on public.product_prices for select to anon, authenticated
  using (true);

grant select, insert, update, delete on table public.product_prices to service_role;
drop policy if exists product_prices_service on public.product_prices;
create policy product_prices_service on public.product_prices for all to service_role
  using (true)
  with check (true);
