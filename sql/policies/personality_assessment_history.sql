-- One's own assessments: written once, never changed. What people write is a quiz's: the method is not theirs to say.
alter table public.personality_assessment_history enable row level security;
revoke all on table public.personality_assessment_history from public, anon, authenticated, service_role;

grant select on table public.personality_assessment_history to anon, authenticated;
drop policy if exists personality_assessment_history_own_read on public.personality_assessment_history;
create policy personality_assessment_history_own_read on public.personality_assessment_history for select to anon, authenticated
  using (user_id = (select auth.uid()));

grant insert (assessment_data, personality_scores, primary_type, assessment_trigger, confidence_level, questions_answered,
  completion_time_seconds, assessment_quality_score, user_swipes_count)
  on table public.personality_assessment_history to anon, authenticated;
drop policy if exists personality_assessment_history_own_insert on public.personality_assessment_history;
create policy personality_assessment_history_own_insert on public.personality_assessment_history for insert to anon, authenticated
  with check (user_id = (select auth.uid()));

grant select, insert, update, delete on table public.personality_assessment_history to service_role;
drop policy if exists personality_assessment_history_service on public.personality_assessment_history;
create policy personality_assessment_history_service on public.personality_assessment_history for all to service_role
  using (true)
  with check (true);
