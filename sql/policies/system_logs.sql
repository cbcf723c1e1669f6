-- Written by service_role, read by administrators too.
alter table public.system_logs enable row level security;
revoke all on table public.system_logs from public, anon, authenticated, service_role;

grant select on table public.system_logs to authenticated;
drop policy if exists system_logs_admin_read on public.system_logs;
create policy system_logs_admin_read on public.system_logs for select to authenticated
  using ((select private.is_admin()));

grant select, insert, update, delete on table public.system_logs to service_role;
drop policy if exists system_logs_service on public.system_logs;
create policy system_logs_service on public.system_logs for all to service_role
  using (true)
  with check (true);
