-- Facts: finance and administrators read them as they came, because a dispute with a network turns on what it said;
-- service_role adds, nobody changes or deletes.
alter table public.conversion_reports enable row level security;
revoke all on table public.conversion_reports from public, anon, authenticated, service_role;

grant select on table public.conversion_reports to authenticated;
drop policy if exists conversion_reports_staff_read on public.conversion_reports;  -- of an earlier release
drop policy if exists conversion_reports_finance_read on public.conversion_reports;
create policy conversion_reports_finance_read on public.conversion_reports for select to authenticated
  using ((select private.app_role()) in ('finance', 'admin'));

grant select, insert on table public.conversion_reports to service_role;
drop policy if exists conversion_reports_service_read on public.conversion_reports;
create policy conversion_reports_service_read on public.conversion_reports for select to service_role
  using (true);
drop policy if exists conversion_reports_service_write on public.conversion_reports;
create policy conversion_reports_service_write on public.conversion_reports for insert to service_role
  with check (true);
