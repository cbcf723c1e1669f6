-- Public; written by private.refresh_model().
alter table public.recommendation_models enable row level security;
revoke all on table public.recommendation_models from public, anon, authenticated, service_role;

grant select on table public.recommendation_models to anon, authenticated;
drop policy if exists recommendation_models_read on public.recommendation_models;
create policy recommendation_models_read on public.recommendation_models for select to anon, authenticated
  using (true);

grant select, insert, update, delete on table public.recommendation_models to service_role;
drop policy if exists recommendation_models_service on public.recommendation_models;
create policy recommendation_models_service on public.recommendation_models for all to service_role
  using (true)
  with check (true);
