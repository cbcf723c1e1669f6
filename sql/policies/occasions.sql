-- People have their own occasions, for their own recipients.
alter table public.occasions enable row level security;
revoke all on table public.occasions from public, anon, authenticated, service_role;

grant select
  on table public.occasions to anon, authenticated;
drop policy if exists occasions_own_read on public.occasions;
create policy occasions_own_read on public.occasions for select to anon, authenticated
  using (user_id = (select auth.uid()));

grant insert (recipient_id, kind, name, occurs_on, is_yearly, budget_minor, budget_currency)
  on table public.occasions to anon, authenticated;
drop policy if exists occasions_own_insert on public.occasions;
create policy occasions_own_insert on public.occasions for insert to anon, authenticated
  with check (user_id = (select auth.uid()));

grant update (recipient_id, kind, name, occurs_on, is_yearly, budget_minor, budget_currency)
  on table public.occasions to anon, authenticated;
drop policy if exists occasions_own_update on public.occasions;
create policy occasions_own_update on public.occasions for update to anon, authenticated
  using (user_id = (select auth.uid()))
  with check (user_id = (select auth.uid()));

grant delete
  on table public.occasions to anon, authenticated;
drop policy if exists occasions_own_delete on public.occasions;
create policy occasions_own_delete on public.occasions for delete to anon, authenticated
  using (user_id = (select auth.uid()));

grant select, insert, update, delete on table public.occasions to service_role;
drop policy if exists occasions_service on public.occasions;
create policy occasions_service on public.occasions for all to service_role
  using (true)
  with check (true);
