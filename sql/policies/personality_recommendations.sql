-- What one acted on, with the terms of its score.
alter table public.personality_recommendations enable row level security;
revoke all on table public.personality_recommendations from public, anon, authenticated, service_role;

grant select on table public.personality_recommendations to anon, authenticated;
drop policy if exists personality_recommendations_own_read on public.personality_recommendations;
create policy personality_recommendations_own_read on public.personality_recommendations for select to anon, authenticated
  using (user_id = (select auth.uid()));

grant insert (product_id, personality_profile_id, personality_match_score, category_alignment_score, behavioral_prediction,
  combined_score, confidence_level, recommendation_context, generated_at, is_shown, shown_at,
  is_swiped, swipe_direction, is_purchased, interacted_at)
  on table public.personality_recommendations to anon, authenticated;
drop policy if exists personality_recommendations_own_insert on public.personality_recommendations;
create policy personality_recommendations_own_insert on public.personality_recommendations for insert to anon, authenticated
  with check (user_id = (select auth.uid()));

grant update (is_swiped, swipe_direction, is_purchased, interacted_at)
  on table public.personality_recommendations to anon, authenticated;
drop policy if exists personality_recommendations_own_update on public.personality_recommendations;
create policy personality_recommendations_own_update on public.personality_recommendations for update to anon, authenticated
  using (user_id = (select auth.uid()))
  with check (user_id = (select auth.uid()));

grant select, insert, update, delete on table public.personality_recommendations to service_role;
drop policy if exists personality_recommendations_service on public.personality_recommendations;
create policy personality_recommendations_service on public.personality_recommendations for all to service_role
  using (true)
  with check (true);
