-- One's own personality. Scores are computed by the server, which writes them as service_role, and by
-- private.update_personality_from_behaviour().
alter table public.personality_profiles enable row level security;
revoke all on table public.personality_profiles from public, anon, authenticated, service_role;

grant select on table public.personality_profiles to anon, authenticated;
drop policy if exists personality_profiles_own_read on public.personality_profiles;
create policy personality_profiles_own_read on public.personality_profiles for select to anon, authenticated
  using (user_id = (select auth.uid()));

-- A policy of earlier releases.
drop policy if exists personality_profiles_own_insert on public.personality_profiles;
drop policy if exists personality_profiles_own_update on public.personality_profiles;

grant select, insert, update, delete on table public.personality_profiles to service_role;
drop policy if exists personality_profiles_service on public.personality_profiles;
create policy personality_profiles_service on public.personality_profiles for all to service_role
  using (true)
  with check (true);
