-- One's own: people write about others, so nobody else reads it.
alter table public.recipients enable row level security;
revoke all on table public.recipients from public, anon, authenticated, service_role;

grant select
  on table public.recipients to anon, authenticated;
drop policy if exists recipients_own_read on public.recipients;
create policy recipients_own_read on public.recipients for select to anon, authenticated
  using (user_id = (select auth.uid()));

grant insert (name, relationship, birthday, preferences, notes)
  on table public.recipients to anon, authenticated;
drop policy if exists recipients_own_insert on public.recipients;
create policy recipients_own_insert on public.recipients for insert to anon, authenticated
  with check (user_id = (select auth.uid()));

grant update (name, relationship, birthday, preferences, notes)
  on table public.recipients to anon, authenticated;
drop policy if exists recipients_own_update on public.recipients;
create policy recipients_own_update on public.recipients for update to anon, authenticated
  using (user_id = (select auth.uid()))
  with check (user_id = (select auth.uid()));

grant delete
  on table public.recipients to anon, authenticated;
drop policy if exists recipients_own_delete on public.recipients;
create policy recipients_own_delete on public.recipients for delete to anon, authenticated
  using (user_id = (select auth.uid()));

grant select, insert, update, delete on table public.recipients to service_role;
drop policy if exists recipients_service on public.recipients;
create policy recipients_service on public.recipients for all to service_role
  using (true)
  with check (true);
