-- One's own: written once, for a variant of an experiment that runs.
alter table public.experiment_exposures enable row level security;
revoke all on table public.experiment_exposures from public, anon, authenticated, service_role;

grant select
  on table public.experiment_exposures to anon, authenticated;
drop policy if exists experiment_exposures_own_read on public.experiment_exposures;
create policy experiment_exposures_own_read on public.experiment_exposures for select to anon, authenticated
  using (user_id = (select auth.uid()));

grant insert (experiment_id, variant)
  on table public.experiment_exposures to anon, authenticated;
drop policy if exists experiment_exposures_own_insert on public.experiment_exposures;
create policy experiment_exposures_own_insert on public.experiment_exposures for insert to anon, authenticated
  with check (
    user_id = (select auth.uid())
    and exists (
      select from public.experiments e
      where e.id = experiment_id and e.is_active and variant = any (e.variants)
    )
  );

grant select, insert, update, delete on table public.experiment_exposures to service_role;
drop policy if exists experiment_exposures_service on public.experiment_exposures;
create policy experiment_exposures_service on public.experiment_exposures for all to service_role
  using (true)
  with check (true);
