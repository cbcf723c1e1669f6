-- The queue of what needs a person: finance and administrators read, service_role writes.
alter table public.exceptions enable row level security;
revoke all on table public.exceptions from public, anon, authenticated, service_role;

grant select on table public.exceptions to authenticated;
drop policy if exists exceptions_staff_read on public.exceptions;  -- of an earlier release
drop policy if exists exceptions_finance_read on public.exceptions;
create policy exceptions_finance_read on public.exceptions for select to authenticated
  using ((select private.app_role()) in ('finance', 'admin'));

grant select, insert, update on table public.exceptions to service_role;
drop policy if exists exceptions_service_read on public.exceptions;
create policy exceptions_service_read on public.exceptions for select to service_role
  using (true);
drop policy if exists exceptions_service_write on public.exceptions;
create policy exceptions_service_write on public.exceptions for insert to service_role
  with check (true);
drop policy if exists exceptions_service_change on public.exceptions;
create policy exceptions_service_change on public.exceptions for update to service_role
  using (true)
  with check (true);
