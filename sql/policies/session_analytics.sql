-- One's own visits; service_role writes them with the session.
alter table public.session_analytics enable row level security;
revoke all on table public.session_analytics from public, anon, authenticated, service_role;

grant select on table public.session_analytics to anon, authenticated;
drop policy if exists session_analytics_own_read on public.session_analytics;
create policy session_analytics_own_read on public.session_analytics for select to anon, authenticated
  using (user_id = (select auth.uid()));

grant select, insert, update, delete on table public.session_analytics to service_role;
drop policy if exists session_analytics_service on public.session_analytics;
create policy session_analytics_service on public.session_analytics for all to service_role
  using (true)
  with check (true);
