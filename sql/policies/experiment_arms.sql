-- How arms rank is not for everybody: only service_role reads and writes them.
alter table public.experiment_arms enable row level security;
revoke all on table public.experiment_arms from public, anon, authenticated, service_role;

grant select, insert, update, delete on table public.experiment_arms to service_role;
drop policy if exists experiment_arms_service on public.experiment_arms;
create policy experiment_arms_service on public.experiment_arms for all to service_role
  using (true)
  with check (true);
