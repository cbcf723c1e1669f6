-- Public; changes come with an instrument (db/instruments.py).
alter table public.quiz_versions enable row level security;
revoke all on table public.quiz_versions from public, anon, authenticated, service_role;

grant select on table public.quiz_versions to anon, authenticated;
drop policy if exists quiz_versions_read on public.quiz_versions;
create policy quiz_versions_read on public.quiz_versions for select to anon, authenticated
  using (true);

grant select, insert, update, delete on table public.quiz_versions to service_role;
drop policy if exists quiz_versions_service on public.quiz_versions;
create policy quiz_versions_service on public.quiz_versions for all to service_role
  using (true)
  with check (true);
