-- Public; written by `aclue train`.
alter table public.trained_models enable row level security;
revoke all on table public.trained_models from public, anon, authenticated, service_role;

-- How many people and events it was learned from stays with the operators.
grant select (version, parameters, serving, calibration, created_at) on table public.trained_models to anon, authenticated;
drop policy if exists trained_models_read on public.trained_models;
create policy trained_models_read on public.trained_models for select to anon, authenticated
  using (true);

grant select, insert, update, delete on table public.trained_models to service_role;
drop policy if exists trained_models_service on public.trained_models;
create policy trained_models_service on public.trained_models for all to service_role
  using (true)
  with check (true);
