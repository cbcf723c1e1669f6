-- One's own. A variant is assigned, not chosen: only service_role writes it.
alter table public.experiment_exposures enable row level security;
revoke all on table public.experiment_exposures from public, anon, authenticated, service_role;

grant select
  on table public.experiment_exposures to anon, authenticated;
drop policy if exists experiment_exposures_own_read on public.experiment_exposures;
create policy experiment_exposures_own_read on public.experiment_exposures for select to anon, authenticated
  using (user_id = (select auth.uid()));

-- A policy of earlier releases.
drop policy if exists experiment_exposures_own_insert on public.experiment_exposures;

grant select, insert, update, delete on table public.experiment_exposures to service_role;
drop policy if exists experiment_exposures_service on public.experiment_exposures;
create policy experiment_exposures_service on public.experiment_exposures for all to service_role
  using (true)
  with check (true);
