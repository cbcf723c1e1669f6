-- One's own personality.
alter table public.personality_profiles enable row level security;
revoke all on table public.personality_profiles from public, anon, authenticated, service_role;

grant select on table public.personality_profiles to anon, authenticated;
drop policy if exists personality_profiles_own_read on public.personality_profiles;
create policy personality_profiles_own_read on public.personality_profiles for select to anon, authenticated
  using (user_id = (select auth.uid()));

grant insert (primary_type, secondary_types, personality_scores, confidence_level, quiz_responses, assessment_method,
  total_questions_answered, version, last_assessment_at)
  on table public.personality_profiles to anon, authenticated;
drop policy if exists personality_profiles_own_insert on public.personality_profiles;
create policy personality_profiles_own_insert on public.personality_profiles for insert to anon, authenticated
  with check (user_id = (select auth.uid()));

grant update (primary_type, secondary_types, personality_scores, confidence_level, quiz_responses, assessment_method,
  total_questions_answered, version, last_assessment_at)
  on table public.personality_profiles to anon, authenticated;
drop policy if exists personality_profiles_own_update on public.personality_profiles;
create policy personality_profiles_own_update on public.personality_profiles for update to anon, authenticated
  using (user_id = (select auth.uid()))
  with check (user_id = (select auth.uid()));

grant select, insert, update, delete on table public.personality_profiles to service_role;
drop policy if exists personality_profiles_service on public.personality_profiles;
create policy personality_profiles_service on public.personality_profiles for all to service_role
  using (true)
  with check (true);
