-- Public; changes come by migration.
alter table public.currencies enable row level security;
revoke all on table public.currencies from public, anon, authenticated, service_role;

grant select on table public.currencies to anon, authenticated;
drop policy if exists currencies_read on public.currencies;
create policy currencies_read on public.currencies for select to anon, authenticated
  using (true);

grant select, insert, update, delete on table public.currencies to service_role;
drop policy if exists currencies_service on public.currencies;
create policy currencies_service on public.currencies for all to service_role
  using (true)
  with check (true);
