-- The ledger's history: read like the ledger, written by its trigger alone.
alter table public.conversion_events enable row level security;
revoke all on table public.conversion_events from public, anon, authenticated, service_role;

grant select on table public.conversion_events to authenticated;
drop policy if exists conversion_events_staff_read on public.conversion_events;
create policy conversion_events_staff_read on public.conversion_events for select to authenticated
  using ((select private.app_role()) in ('analyst', 'admin'));

grant select on table public.conversion_events to service_role;
drop policy if exists conversion_events_service on public.conversion_events;
create policy conversion_events_service on public.conversion_events for select to service_role
  using (true);
