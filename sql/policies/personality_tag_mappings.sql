-- Public reference data; loaded from catalogue/reference.
alter table public.personality_tag_mappings enable row level security;
revoke all on table public.personality_tag_mappings from public, anon, authenticated, service_role;

grant select on table public.personality_tag_mappings to anon, authenticated;
drop policy if exists personality_tag_mappings_read on public.personality_tag_mappings;
create policy personality_tag_mappings_read on public.personality_tag_mappings for select to anon, authenticated
  using (true);

grant select, insert, update, delete on table public.personality_tag_mappings to service_role;
drop policy if exists personality_tag_mappings_service on public.personality_tag_mappings;
create policy personality_tag_mappings_service on public.personality_tag_mappings for all to service_role
  using (true)
  with check (true);
