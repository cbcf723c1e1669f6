-- What one acted on: written once, never changed.
alter table public.recommendations enable row level security;
revoke all on table public.recommendations from public, anon, authenticated, service_role;

grant select on table public.recommendations to anon, authenticated;
drop policy if exists recommendations_own_read on public.recommendations;
create policy recommendations_own_read on public.recommendations for select to anon, authenticated
  using (user_id = (select auth.uid()));

grant insert (product_id, recommendation_context, model_version, position, propensity, score, generated_at)
  on table public.recommendations to anon, authenticated;
drop policy if exists recommendations_own_insert on public.recommendations;
create policy recommendations_own_insert on public.recommendations for insert to anon, authenticated
  with check (user_id = (select auth.uid()));

grant select, insert, update, delete on table public.recommendations to service_role;
drop policy if exists recommendations_service on public.recommendations;
create policy recommendations_service on public.recommendations for all to service_role
  using (true)
  with check (true);
