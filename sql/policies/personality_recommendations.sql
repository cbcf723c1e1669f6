-- What one acted on, with the terms of its score. They come from an id that the server signed, so it writes them as
-- service_role.
alter table public.personality_recommendations enable row level security;
revoke all on table public.personality_recommendations from public, anon, authenticated, service_role;

grant select on table public.personality_recommendations to anon, authenticated;
drop policy if exists personality_recommendations_own_read on public.personality_recommendations;
create policy personality_recommendations_own_read on public.personality_recommendations for select to anon, authenticated
  using (user_id = (select auth.uid()));

-- A policy of earlier releases.
drop policy if exists personality_recommendations_own_insert on public.personality_recommendations;
drop policy if exists personality_recommendations_own_update on public.personality_recommendations;

grant select, insert, update, delete on table public.personality_recommendations to service_role;
drop policy if exists personality_recommendations_service on public.personality_recommendations;
create policy personality_recommendations_service on public.personality_recommendations for all to service_role
  using (true)
  with check (true);
