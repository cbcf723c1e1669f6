-- Facts: finance and administrators read them, service_role adds, nobody changes or deletes.
alter table public.payments enable row level security;
revoke all on table public.payments from public, anon, authenticated, service_role;

grant select on table public.payments to authenticated;
drop policy if exists payments_staff_read on public.payments;  -- of an earlier release
drop policy if exists payments_finance_read on public.payments;
create policy payments_finance_read on public.payments for select to authenticated
  using ((select private.app_role()) in ('finance', 'admin'));

grant select, insert on table public.payments to service_role;
drop policy if exists payments_service_read on public.payments;
create policy payments_service_read on public.payments for select to service_role
  using (true);
drop policy if exists payments_service_write on public.payments;
create policy payments_service_write on public.payments for insert to service_role
  with check (true);
