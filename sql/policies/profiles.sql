-- One's own row; e-mail, id and is_anonymous change only through auth.users.
alter table public.profiles enable row level security;
revoke all on table public.profiles from public, anon, authenticated, service_role;

grant select on table public.profiles to anon, authenticated;
grant update (display_name, preferences) on table public.profiles to anon, authenticated;
drop policy if exists profiles_own_read on public.profiles;
create policy profiles_own_read on public.profiles for select to anon, authenticated
  using (id = (select auth.uid()));

drop policy if exists profiles_own_update on public.profiles;
create policy profiles_own_update on public.profiles for update to anon, authenticated
  using (id = (select auth.uid()))
  with check (id = (select auth.uid()));

grant select, insert, update, delete on table public.profiles to service_role;
drop policy if exists profiles_service on public.profiles;
create policy profiles_service on public.profiles for all to service_role
  using (true)
  with check (true);
