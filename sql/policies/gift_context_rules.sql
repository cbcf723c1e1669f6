-- Public reference data; loaded from catalogue/reference.
alter table public.gift_context_rules enable row level security;
revoke all on table public.gift_context_rules from public, anon, authenticated, service_role;

grant select on table public.gift_context_rules to anon, authenticated;
drop policy if exists gift_context_rules_read on public.gift_context_rules;
create policy gift_context_rules_read on public.gift_context_rules for select to anon, authenticated
  using (true);

grant select, insert, update, delete on table public.gift_context_rules to service_role;
drop policy if exists gift_context_rules_service on public.gift_context_rules;
create policy gift_context_rules_service on public.gift_context_rules for all to service_role
  using (true)
  with check (true);
