-- Public; written by private.refresh_model().
alter table public.model_candidates enable row level security;
revoke all on table public.model_candidates from public, anon, authenticated, service_role;

grant select on table public.model_candidates to anon, authenticated;
drop policy if exists model_candidates_read on public.model_candidates;
create policy model_candidates_read on public.model_candidates for select to anon, authenticated
  using (true);

grant select, insert, update, delete on table public.model_candidates to service_role;
drop policy if exists model_candidates_service on public.model_candidates;
create policy model_candidates_service on public.model_candidates for all to service_role
  using (true)
  with check (true);
