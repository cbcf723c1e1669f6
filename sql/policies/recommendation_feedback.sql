-- One's own feedback, on what one acted on: written once, never changed.
alter table public.recommendation_feedback enable row level security;
revoke all on table public.recommendation_feedback from public, anon, authenticated, service_role;

grant select on table public.recommendation_feedback to anon, authenticated;
drop policy if exists recommendation_feedback_own_read on public.recommendation_feedback;
create policy recommendation_feedback_own_read on public.recommendation_feedback for select to anon, authenticated
  using (user_id = (select auth.uid()));

grant insert (recommendation_id, product_id, feedback_type, reason, rating, comment)
  on table public.recommendation_feedback to anon, authenticated;
drop policy if exists recommendation_feedback_own_insert on public.recommendation_feedback;
create policy recommendation_feedback_own_insert on public.recommendation_feedback for insert to anon, authenticated
  with check (
    user_id = (select auth.uid())
    and exists (
      select from public.recommendations r
      where r.user_id = (select auth.uid()) and r.id = recommendation_feedback.recommendation_id
        and r.product_id = recommendation_feedback.product_id
    )
  );

grant select, insert, update, delete on table public.recommendation_feedback to service_role;
drop policy if exists recommendation_feedback_service on public.recommendation_feedback;
create policy recommendation_feedback_service on public.recommendation_feedback for all to service_role
  using (true)
  with check (true);
