-- Read by administrators; written by imports.
alter table public.import_runs enable row level security;
revoke all on table public.import_runs from public, anon, authenticated, service_role;

grant select on table public.import_runs to authenticated;
drop policy if exists import_runs_admin_read on public.import_runs;
create policy import_runs_admin_read on public.import_runs for select to authenticated
  using ((select private.is_admin()));

grant select, insert, update, delete on table public.import_runs to service_role;
drop policy if exists import_runs_service on public.import_runs;
create policy import_runs_service on public.import_runs for all to service_role
  using (true)
  with check (true);
