-- Read by administrators and service_role; written by private.audit() alone, changed by nobody.
alter table public.audit_log enable row level security;
revoke all on table public.audit_log from public, anon, authenticated, service_role;

grant select on table public.audit_log to authenticated;
drop policy if exists audit_log_admin_read on public.audit_log;
create policy audit_log_admin_read on public.audit_log for select to authenticated
  using ((select private.is_admin()));

grant select on table public.audit_log to service_role;
drop policy if exists audit_log_service_read on public.audit_log;
create policy audit_log_service_read on public.audit_log for select to service_role
  using (true);
