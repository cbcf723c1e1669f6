-- The click that a conversion came from: finance and administrators read it, because the network asks for its token and
-- its time when a sale is disputed; service_role writes.
alter table public.conversion_clicks enable row level security;
revoke all on table public.conversion_clicks from public, anon, authenticated, service_role;

grant select on table public.conversion_clicks to authenticated;
drop policy if exists conversion_clicks_finance_read on public.conversion_clicks;
create policy conversion_clicks_finance_read on public.conversion_clicks for select to authenticated
  using ((select private.app_role()) in ('finance', 'admin'));

grant select, insert, update on table public.conversion_clicks to service_role;
drop policy if exists conversion_clicks_service_read on public.conversion_clicks;
create policy conversion_clicks_service_read on public.conversion_clicks for select to service_role
  using (true);
drop policy if exists conversion_clicks_service_write on public.conversion_clicks;
create policy conversion_clicks_service_write on public.conversion_clicks for insert to service_role
  with check (true);
drop policy if exists conversion_clicks_service_change on public.conversion_clicks;
create policy conversion_clicks_service_change on public.conversion_clicks for update to service_role
  using (true)
  with check (true);
