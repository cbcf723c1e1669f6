-- Public; changes come with an instrument (db/instruments.py).
alter table public.quiz_traits enable row level security;
revoke all on table public.quiz_traits from public, anon, authenticated, service_role;

grant select on table public.quiz_traits to anon, authenticated;
drop policy if exists quiz_traits_read on public.quiz_traits;
create policy quiz_traits_read on public.quiz_traits for select to anon, authenticated
  using (true);

grant select, insert, update, delete on table public.quiz_traits to service_role;
drop policy if exists quiz_traits_service on public.quiz_traits;
create policy quiz_traits_service on public.quiz_traits for all to service_role
  using (true)
  with check (true);
