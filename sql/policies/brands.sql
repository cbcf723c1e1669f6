-- Public; service_role writes.
alter table public.brands enable row level security;
revoke all on table public.brands from public, anon, authenticated, service_role;

grant select on table public.brands to anon, authenticated;
drop policy if exists brands_read on public.brands;
create policy brands_read on public.brands for select to anon, authenticated
  using (true);

grant select, insert, update, delete on table public.brands to service_role;
drop policy if exists brands_service on public.brands;
create policy brands_service on public.brands for all to service_role
  using (true)
  with check (true);
