-- What one acted on. Position, propensity and score come from an id that the server signed, so it writes them as
-- service_role.
alter table public.recommendations enable row level security;
revoke all on table public.recommendations from public, anon, authenticated, service_role;

grant select on table public.recommendations to anon, authenticated;
drop policy if exists recommendations_own_read on public.recommendations;
create policy recommendations_own_read on public.recommendations for select to anon, authenticated
  using (user_id = (select auth.uid()));

-- A policy of earlier releases.
drop policy if exists recommendations_own_insert on public.recommendations;

grant select, insert, update, delete on table public.recommendations to service_role;
drop policy if exists recommendations_service on public.recommendations;
create policy recommendations_service on public.recommendations for all to service_role
  using (true)
  with check (true);
