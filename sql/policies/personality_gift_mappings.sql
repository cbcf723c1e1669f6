-- Public reference data; service_role writes.
alter table public.personality_gift_mappings enable row level security;
revoke all on table public.personality_gift_mappings from public, anon, authenticated, service_role;

grant select on table public.personality_gift_mappings to anon, authenticated;
drop policy if exists personality_gift_mappings_read on public.personality_gift_mappings;
create policy personality_gift_mappings_read on public.personality_gift_mappings for select to anon, authenticated
  using (true);

grant select, insert, update, delete on table public.personality_gift_mappings to service_role;
drop policy if exists personality_gift_mappings_service on public.personality_gift_mappings;
create policy personality_gift_mappings_service on public.personality_gift_mappings for all to service_role
  using (true)
  with check (true);
