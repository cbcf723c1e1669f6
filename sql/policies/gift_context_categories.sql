-- Public reference data; loaded from catalogue/reference.
alter table public.gift_context_categories enable row level security;
revoke all on table public.gift_context_categories from public, anon, authenticated, service_role;

grant select on table public.gift_context_categories to anon, authenticated;
drop policy if exists gift_context_categories_read on public.gift_context_categories;
create policy gift_context_categories_read on public.gift_context_categories for select to anon, authenticated
  using (true);

grant select, insert, update, delete on table public.gift_context_categories to service_role;
drop policy if exists gift_context_categories_service on public.gift_context_categories;
create policy gift_context_categories_service on public.gift_context_categories for all to service_role
  using (true)
  with check (true);
