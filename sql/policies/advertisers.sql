-- Analysts, finance and administrators read which shop an advertiser is, service_role writes.
alter table public.advertisers enable row level security;
revoke all on table public.advertisers from public, anon, authenticated, service_role;

grant select on table public.advertisers to authenticated;
drop policy if exists advertisers_staff_read on public.advertisers;
create policy advertisers_staff_read on public.advertisers for select to authenticated
  using ((select private.app_role()) in ('analyst', 'finance', 'admin'));

grant select, insert, update, delete on table public.advertisers to service_role;
drop policy if exists advertisers_service on public.advertisers;
create policy advertisers_service on public.advertisers for all to service_role
  using (true)
  with check (true);
