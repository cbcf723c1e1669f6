-- Written by pulls, in the transaction that imports what was read. They go with their account only.
alter table public.network_watermarks enable row level security;
revoke all on table public.network_watermarks from public, anon, authenticated, service_role;

grant select, insert, update (read_until) on table public.network_watermarks to service_role;
drop policy if exists network_watermarks_service_read on public.network_watermarks;
create policy network_watermarks_service_read on public.network_watermarks for select to service_role
  using (true);
drop policy if exists network_watermarks_service_write on public.network_watermarks;
create policy network_watermarks_service_write on public.network_watermarks for insert to service_role
  with check (true);
drop policy if exists network_watermarks_service_change on public.network_watermarks;
create policy network_watermarks_service_change on public.network_watermarks for update to service_role
  using (true)
  with check (true);
