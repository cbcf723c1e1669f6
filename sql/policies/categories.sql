-- The tree is public; service_role writes.
alter table public.categories enable row level security;
revoke all on table public.categories from public, anon, authenticated, service_role;

grant select on table public.categories to anon, authenticated;
drop policy if exists categories_read on public.categories;
create policy categories_read on public.categories for select to anon, authenticated
  using (true);

grant select, insert, update, delete on table public.categories to service_role;
drop policy if exists categories_service on public.categories;
create policy categories_service on public.categories for all to service_role
  using (true)
  with check (true);
