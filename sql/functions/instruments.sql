-- Processes keep instruments in memory: a change of any part gives the version another revision (db/instruments.py).

create or replace function private.renew_quiz_revision() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  new.revision := pg_catalog.gen_random_uuid();
  new.updated_at := pg_catalog.now();
  return new;
end
$$;

-- All versions: which ones a statement changed is not worth three triggers per table.
create or replace function private.renew_quiz_revisions() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update public.quiz_versions set updated_at = pg_catalog.now();
  return null;
end
$$;

create or replace trigger quiz_versions_revised before update on public.quiz_versions
  for each row execute function private.renew_quiz_revision();
create or replace trigger quiz_traits_revised after insert or update or delete on public.quiz_traits
  for each statement execute function private.renew_quiz_revisions();
create or replace trigger quiz_questions_revised after insert or update or delete on public.quiz_questions
  for each statement execute function private.renew_quiz_revisions();
create or replace trigger quiz_texts_revised after insert or update or delete on public.quiz_texts
  for each statement execute function private.renew_quiz_revisions();
create or replace trigger quiz_norms_revised after insert or update or delete on private.quiz_norms
  for each statement execute function private.renew_quiz_revisions();

revoke all on function private.renew_quiz_revision(), private.renew_quiz_revisions()
  from public, anon, authenticated, service_role;
