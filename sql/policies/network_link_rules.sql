-- Public reference data; loaded from catalogue/reference.
alter table public.network_link_rules enable row level security;
revoke all on table public.network_link_rules from public, anon, authenticated, service_role;

grant select on table public.network_link_rules to anon, authenticated;
drop policy if exists network_link_rules_read on public.network_link_rules;
create policy network_link_rules_read on public.network_link_rules for select to anon, authenticated
  using (true);

grant select, insert, update, delete on table public.network_link_rules to service_role;
drop policy if exists network_link_rules_service on public.network_link_rules;
create policy network_link_rules_service on public.network_link_rules for all to service_role
  using (true)
  with check (true);
