-- Administrators read, service_role writes.
alter table public.switches enable row level security;
revoke all on table public.switches from public, anon, authenticated, service_role;

grant select on table public.switches to authenticated;
drop policy if exists switches_admin_read on public.switches;
create policy switches_admin_read on public.switches for select to authenticated
  using ((select private.is_admin()));

grant select, insert (name, is_on, reason), update (is_on, reason, changed_at) on table public.switches to service_role;
drop policy if exists switches_service_read on public.switches;
create policy switches_service_read on public.switches for select to service_role
  using (true);
drop policy if exists switches_service_insert on public.switches;
create policy switches_service_insert on public.switches for insert to service_role
  with check (true);
drop policy if exists switches_service_change on public.switches;
create policy switches_service_change on public.switches for update to service_role
  using (true)
  with check (true);
