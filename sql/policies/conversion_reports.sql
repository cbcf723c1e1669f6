-- Facts: staff read them without what tells of a person; service_role adds, nobody changes or deletes.
alter table public.conversion_reports enable row level security;
revoke all on table public.conversion_reports from public, anon, authenticated, service_role;

grant select (id, affiliate_network, reference, identity, kind, state, advertiser_id, currency, amount_minor, sale_minor,
  stated_at, ordered_at, clicked_at, tracking_id, facts, source, origin, recorded_at) on table public.conversion_reports to authenticated;
drop policy if exists conversion_reports_staff_read on public.conversion_reports;
create policy conversion_reports_staff_read on public.conversion_reports for select to authenticated
  using ((select private.app_role()) in ('analyst', 'admin'));

grant select, insert on table public.conversion_reports to service_role;
drop policy if exists conversion_reports_service_read on public.conversion_reports;
create policy conversion_reports_service_read on public.conversion_reports for select to service_role
  using (true);
drop policy if exists conversion_reports_service_write on public.conversion_reports;
create policy conversion_reports_service_write on public.conversion_reports for insert to service_role
  with check (true);
