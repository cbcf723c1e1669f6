-- One's own sessions, without the hashes; only service_role writes.
alter table public.user_sessions enable row level security;
revoke all on table public.user_sessions from public, anon, authenticated, service_role;

grant select (user_id, id, expires_at, revoked_at, user_agent, created_at, last_used_at, aal, amr)
  on table public.user_sessions to anon, authenticated;
drop policy if exists user_sessions_own_read on public.user_sessions;
create policy user_sessions_own_read on public.user_sessions for select to anon, authenticated
  using (user_id = (select auth.uid()));

grant select, insert, update, delete on table public.user_sessions to service_role;
drop policy if exists user_sessions_service on public.user_sessions;
create policy user_sessions_service on public.user_sessions for all to service_role
  using (true)
  with check (true);
