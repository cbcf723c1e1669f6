-- Processes keep instruments in memory: a change of any part gives the version another revision (db/instruments.py).

create or replace function private.renew_quiz_revision() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  new.revision := pg_catalog.gen_random_uuid();
  return new;
end
$$;

-- All versions: which ones a statement changed is not worth three triggers per table.
create or replace function private.renew_quiz_revisions() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update public.quiz_versions set revision = revision;
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

create or replace function private.norms_of(p_instrument text, p_version text) returns jsonb
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(norm)), '[]') from private.quiz_norms norm
  where norm.instrument = p_instrument and norm.version = p_version
$$;
comment on function private.norms_of(text, text) is 'The norms of a version, for scoring: the caller must not show them.';

revoke all on function private.norms_of(text, text) from public;
grant execute on function private.norms_of(text, text) to anon, authenticated, service_role;
revoke all on function private.renew_quiz_revision(), private.renew_quiz_revisions()
  from public, anon, authenticated, service_role;
