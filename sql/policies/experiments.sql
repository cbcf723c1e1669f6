-- Public but for the seed, with which people could choose their arm; service_role writes.
alter table public.experiments enable row level security;
revoke all on table public.experiments from public, anon, authenticated, service_role;

grant select (id, key, description, surface, allocation, starts_at, ends_at, created_at, updated_at)
  on table public.experiments to anon, authenticated;
drop policy if exists experiments_read on public.experiments;
create policy experiments_read on public.experiments for select to anon, authenticated
  using (true);

grant select, insert, update, delete on table public.experiments to service_role;
drop policy if exists experiments_service on public.experiments;
create policy experiments_service on public.experiments for all to service_role
  using (true)
  with check (true);
