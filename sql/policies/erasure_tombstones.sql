-- Written by private.erase_person() alone; service_role reads them.
alter table public.erasure_tombstones enable row level security;
revoke all on table public.erasure_tombstones from public, anon, authenticated, service_role;

grant select on table public.erasure_tombstones to service_role;
drop policy if exists erasure_tombstones_service_read on public.erasure_tombstones;
create policy erasure_tombstones_service_read on public.erasure_tombstones for select to service_role
  using (true);
