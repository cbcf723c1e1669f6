-- Public, but for the commission rate; service_role writes.
alter table public.retailers enable row level security;
revoke all on table public.retailers from public, anon, authenticated, service_role;

grant select (id, slug, name, domain, affiliate_network, click_parameter, tracking_hosts, is_active, created_at,
  updated_at) on table public.retailers to anon, authenticated;
drop policy if exists retailers_read on public.retailers;
create policy retailers_read on public.retailers for select to anon, authenticated
  using (true);

grant select, insert, update, delete on table public.retailers to service_role;
drop policy if exists retailers_service on public.retailers;
create policy retailers_service on public.retailers for all to service_role
  using (true)
  with check (true);
