-- Agreements with shops: analysts, finance and administrators read them, service_role writes.
alter table public.commission_rules enable row level security;
revoke all on table public.commission_rules from public, anon, authenticated, service_role;

grant select on table public.commission_rules to authenticated;
drop policy if exists commission_rules_staff_read on public.commission_rules;
create policy commission_rules_staff_read on public.commission_rules for select to authenticated
  using ((select private.app_role()) in ('analyst', 'finance', 'admin'));

grant select, insert, update, delete on table public.commission_rules to service_role;
drop policy if exists commission_rules_service on public.commission_rules;
create policy commission_rules_service on public.commission_rules for all to service_role
  using (true)
  with check (true);
