-- Public; changes come with an instrument (db/instruments.py).
alter table public.quiz_questions enable row level security;
revoke all on table public.quiz_questions from public, anon, authenticated, service_role;

grant select on table public.quiz_questions to anon, authenticated;
drop policy if exists quiz_questions_read on public.quiz_questions;
create policy quiz_questions_read on public.quiz_questions for select to anon, authenticated
  using (true);

grant select, insert, update, delete on table public.quiz_questions to service_role;
drop policy if exists quiz_questions_service on public.quiz_questions;
create policy quiz_questions_service on public.quiz_questions for all to service_role
  using (true)
  with check (true);
