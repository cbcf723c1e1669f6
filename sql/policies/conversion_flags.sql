-- Finance and administrators read them; service_role adds, clears and releases. Nobody deletes.
alter table public.conversion_flags enable row level security;
revoke all on table public.conversion_flags from public, anon, authenticated, service_role;

grant select on table public.conversion_flags to authenticated;
drop policy if exists conversion_flags_finance_read on public.conversion_flags;
create policy conversion_flags_finance_read on public.conversion_flags for select to authenticated
  using ((select private.app_role()) in ('finance', 'admin'));

grant select on table public.conversion_flags to service_role;
grant insert (id, conversion_id, kind, detail, click_id) on table public.conversion_flags to service_role;
grant update (detail, cleared_at, released_at, release_reason) on table public.conversion_flags to service_role;
drop policy if exists conversion_flags_service_read on public.conversion_flags;
create policy conversion_flags_service_read on public.conversion_flags for select to service_role
  using (true);
drop policy if exists conversion_flags_service_write on public.conversion_flags;
create policy conversion_flags_service_write on public.conversion_flags for insert to service_role
  with check (true);
drop policy if exists conversion_flags_service_change on public.conversion_flags;
create policy conversion_flags_service_change on public.conversion_flags for update to service_role
  using (true)
  with check (true);
