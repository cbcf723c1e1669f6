-- Public; written by private.refresh_model().
alter table public.model_kinds enable row level security;
revoke all on table public.model_kinds from public, anon, authenticated, service_role;

grant select on table public.model_kinds to anon, authenticated;
drop policy if exists model_kinds_read on public.model_kinds;
create policy model_kinds_read on public.model_kinds for select to anon, authenticated
  using (true);

grant select, insert, update, delete on table public.model_kinds to service_role;
drop policy if exists model_kinds_service on public.model_kinds;
create policy model_kinds_service on public.model_kinds for all to service_role
  using (true)
  with check (true);
