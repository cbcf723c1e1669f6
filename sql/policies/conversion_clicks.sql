-- The click that a conversion came from: nobody's but service_role's.
alter table public.conversion_clicks enable row level security;
revoke all on table public.conversion_clicks from public, anon, authenticated, service_role;

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
