-- Derived from payments and reports: finance and administrators read, service_role writes.
alter table public.settlements enable row level security;
revoke all on table public.settlements from public, anon, authenticated, service_role;

grant select on table public.settlements to authenticated;
drop policy if exists settlements_staff_read on public.settlements;  -- of an earlier release
drop policy if exists settlements_finance_read on public.settlements;
create policy settlements_finance_read on public.settlements for select to authenticated
  using ((select private.app_role()) in ('finance', 'admin'));

grant select, insert, update on table public.settlements to service_role;
drop policy if exists settlements_service_read on public.settlements;
create policy settlements_service_read on public.settlements for select to service_role
  using (true);
drop policy if exists settlements_service_write on public.settlements;
create policy settlements_service_write on public.settlements for insert to service_role
  with check (true);
drop policy if exists settlements_service_change on public.settlements;
create policy settlements_service_change on public.settlements for update to service_role
  using (true)
  with check (true);
