-- Analysts, finance and administrators read which tracking ids are ours, service_role writes: which place earns how much
-- is nobody else's business.
alter table public.placements enable row level security;
revoke all on table public.placements from public, anon, authenticated, service_role;

grant select on table public.placements to authenticated;
drop policy if exists placements_staff_read on public.placements;
create policy placements_staff_read on public.placements for select to authenticated
  using ((select private.app_role()) in ('analyst', 'finance', 'admin'));

grant select, insert, update, delete on table public.placements to service_role;
drop policy if exists placements_service on public.placements;
create policy placements_service on public.placements for all to service_role
  using (true)
  with check (true);
