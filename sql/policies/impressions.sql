-- One's own, to read. Arm, model and propensity come from an id that the server signed, so it writes them as service_role.
-- The partitions themselves are nobody's.
alter table public.impressions enable row level security;
revoke all on table public.impressions, public.impressions_default from public, anon, authenticated, service_role;

grant select on table public.impressions to anon, authenticated;
drop policy if exists impressions_own_read on public.impressions;
create policy impressions_own_read on public.impressions for select to anon, authenticated
  using (user_id = (select auth.uid()));

grant select, insert, update, delete on table public.impressions to service_role;
drop policy if exists impressions_service on public.impressions;
create policy impressions_service on public.impressions for all to service_role
  using (true)
  with check (true);
