-- Public; written by `aclue train`.
alter table public.model_sources enable row level security;
revoke all on table public.model_sources from public, anon, authenticated, service_role;

grant select on table public.model_sources to anon, authenticated;
drop policy if exists model_sources_read on public.model_sources;
create policy model_sources_read on public.model_sources for select to anon, authenticated
  using (true);

grant select, insert, update, delete on table public.model_sources to service_role;
drop policy if exists model_sources_service on public.model_sources;
create policy model_sources_service on public.model_sources for all to service_role
  using (true)
  with check (true);
