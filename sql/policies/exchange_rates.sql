-- Facts: analysts, finance and administrators read them, service_role adds, nobody changes or deletes.
alter table public.exchange_rates enable row level security;
revoke all on table public.exchange_rates from public, anon, authenticated, service_role;

grant select on table public.exchange_rates to authenticated;
drop policy if exists exchange_rates_staff_read on public.exchange_rates;
create policy exchange_rates_staff_read on public.exchange_rates for select to authenticated
  using ((select private.app_role()) in ('analyst', 'finance', 'admin'));

grant select, insert on table public.exchange_rates to service_role;
drop policy if exists exchange_rates_service_read on public.exchange_rates;
create policy exchange_rates_service_read on public.exchange_rates for select to service_role
  using (true);
drop policy if exists exchange_rates_service_write on public.exchange_rates;
create policy exchange_rates_service_write on public.exchange_rates for insert to service_role
  with check (true);
