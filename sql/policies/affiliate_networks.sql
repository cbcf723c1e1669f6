-- Public; service_role writes.
alter table public.affiliate_networks enable row level security;
revoke all on table public.affiliate_networks from public, anon, authenticated, service_role;

grant select on table public.affiliate_networks to anon, authenticated;
drop policy if exists affiliate_networks_read on public.affiliate_networks;
create policy affiliate_networks_read on public.affiliate_networks for select to anon, authenticated
  using (true);

grant select, insert, update, delete on table public.affiliate_networks to service_role;
drop policy if exists affiliate_networks_service on public.affiliate_networks;
create policy affiliate_networks_service on public.affiliate_networks for all to service_role
  using (true)
  with check (true);
