-- Staff read, service_role writes.
alter table public.alerts enable row level security;
revoke all on table public.alerts from public, anon, authenticated, service_role;

grant select on table public.alerts to authenticated;
drop policy if exists alerts_staff_read on public.alerts;
create policy alerts_staff_read on public.alerts for select to authenticated
  using ((select private.app_role()) in ('analyst', 'finance', 'admin'));

grant select, insert, update on table public.alerts to service_role;
drop policy if exists alerts_service_read on public.alerts;
create policy alerts_service_read on public.alerts for select to service_role
  using (true);
drop policy if exists alerts_service_write on public.alerts;
create policy alerts_service_write on public.alerts for insert to service_role
  with check (true);
drop policy if exists alerts_service_change on public.alerts;
create policy alerts_service_change on public.alerts for update to service_role
  using (true)
  with check (true);
