-- Public reference data; loaded from catalogue/reference.
alter table public.gift_categories enable row level security;
revoke all on table public.gift_categories from public, anon, authenticated, service_role;

grant select on table public.gift_categories to anon, authenticated;
drop policy if exists gift_categories_read on public.gift_categories;
create policy gift_categories_read on public.gift_categories for select to anon, authenticated
  using (true);

grant select, insert, update, delete on table public.gift_categories to service_role;
drop policy if exists gift_categories_service on public.gift_categories;
create policy gift_categories_service on public.gift_categories for all to service_role
  using (true)
  with check (true);
