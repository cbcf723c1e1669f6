-- One's own decisions: added to, never changed.
alter table public.consents enable row level security;
revoke all on table public.consents from public, anon, authenticated, service_role;

grant select on table public.consents to anon, authenticated;
drop policy if exists consents_own_read on public.consents;
create policy consents_own_read on public.consents for select to anon, authenticated
  using (user_id = (select auth.uid()));

grant insert (purpose, granted, policy_version) on table public.consents to anon, authenticated;
drop policy if exists consents_own_insert on public.consents;
create policy consents_own_insert on public.consents for insert to anon, authenticated
  with check (user_id = (select auth.uid()));

grant select, insert, update, delete on table public.consents to service_role;
drop policy if exists consents_service on public.consents;
create policy consents_service on public.consents for all to service_role
  using (true)
  with check (true);
