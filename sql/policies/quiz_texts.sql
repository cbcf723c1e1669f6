-- Public; changes come with an instrument (db/instruments.py).
alter table public.quiz_texts enable row level security;
revoke all on table public.quiz_texts from public, anon, authenticated, service_role;

grant select on table public.quiz_texts to anon, authenticated;
drop policy if exists quiz_texts_read on public.quiz_texts;
create policy quiz_texts_read on public.quiz_texts for select to anon, authenticated
  using (true);

grant select, insert, update, delete on table public.quiz_texts to service_role;
drop policy if exists quiz_texts_service on public.quiz_texts;
create policy quiz_texts_service on public.quiz_texts for all to service_role
  using (true)
  with check (true);
