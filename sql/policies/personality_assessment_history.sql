-- One's own assessments. Scores are computed by the server, which writes them as service_role, and by
-- private.update_personality_from_behaviour().
alter table public.personality_assessment_history enable row level security;
revoke all on table public.personality_assessment_history from public, anon, authenticated, service_role;

grant select on table public.personality_assessment_history to anon, authenticated;
drop policy if exists personality_assessment_history_own_read on public.personality_assessment_history;
create policy personality_assessment_history_own_read on public.personality_assessment_history for select to anon, authenticated
  using (user_id = (select auth.uid()));

-- A policy of earlier releases.
drop policy if exists personality_assessment_history_own_insert on public.personality_assessment_history;

grant select, insert, update, delete on table public.personality_assessment_history to service_role;
drop policy if exists personality_assessment_history_service on public.personality_assessment_history;
create policy personality_assessment_history_service on public.personality_assessment_history for all to service_role
  using (true)
  with check (true);
