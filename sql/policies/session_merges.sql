-- One's own merges; written by private.merge_session() alone.
alter table public.session_merges enable row level security;
revoke all on table public.session_merges from public, anon, authenticated, service_role;

grant select
  on table public.session_merges to anon, authenticated;
drop policy if exists session_merges_own_read on public.session_merges;
create policy session_merges_own_read on public.session_merges for select to anon, authenticated
  using (user_id = (select auth.uid()));

grant select on table public.session_merges to service_role;
drop policy if exists session_merges_service on public.session_merges;
create policy session_merges_service on public.session_merges for select to service_role
  using (true);
