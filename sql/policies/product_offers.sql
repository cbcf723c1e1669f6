-- Public; written by imports, and by private.note_products().
alter table public.product_offers enable row level security;
revoke all on table public.product_offers from public, anon, authenticated, service_role;

grant select on table public.product_offers to anon, authenticated;
drop policy if exists product_offers_read on public.product_offers;
create policy product_offers_read on public.product_offers for select to anon, authenticated
  using (true);

grant select, insert, update, delete on table public.product_offers to service_role;
drop policy if exists product_offers_service on public.product_offers;
create policy product_offers_service on public.product_offers for all to service_role
  using (true)
  with check (true);
