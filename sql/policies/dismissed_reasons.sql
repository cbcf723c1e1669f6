-- One's own. private.dismiss_reason() dismisses, so that the names are those of the catalogue and the number is bounded.
alter table public.dismissed_reasons enable row level security;
revoke all on table public.dismissed_reasons from public, anon, authenticated, service_role;

grant select on table public.dismissed_reasons to anon, authenticated;
drop policy if exists dismissed_reasons_own_read on public.dismissed_reasons;
create policy dismissed_reasons_own_read on public.dismissed_reasons for select to anon, authenticated
  using (user_id = (select auth.uid()));

-- Restored now, and for good.
grant update (restored_at) on table public.dismissed_reasons to anon, authenticated;
drop policy if exists dismissed_reasons_own_update on public.dismissed_reasons;
create policy dismissed_reasons_own_update on public.dismissed_reasons for update to anon, authenticated
  using (user_id = (select auth.uid()) and restored_at is null)
  with check (user_id = (select auth.uid()) and restored_at between now() and clock_timestamp());

grant select, insert, update, delete on table public.dismissed_reasons to service_role;
drop policy if exists dismissed_reasons_service on public.dismissed_reasons;
create policy dismissed_reasons_service on public.dismissed_reasons for all to service_role
  using (true)
  with check (true);
