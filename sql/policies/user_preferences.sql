-- People read their own preferences; only private.update_preferences() writes them, from the person's signals.
alter table public.user_preferences enable row level security;
revoke all on table public.user_preferences from public, anon, authenticated, service_role;

grant select on table public.user_preferences to anon, authenticated;
drop policy if exists user_preferences_own_read on public.user_preferences;
create policy user_preferences_own_read on public.user_preferences for select to anon, authenticated
  using (user_id = (select auth.uid()));

-- A policy of earlier releases.
drop policy if exists user_preferences_own_insert on public.user_preferences;
drop policy if exists user_preferences_own_update on public.user_preferences;

grant select, insert, update, delete on table public.user_preferences to service_role;
drop policy if exists user_preferences_service on public.user_preferences;
create policy user_preferences_service on public.user_preferences for all to service_role
  using (true)
  with check (true);
