-- Derived: analysts, finance and administrators read them without the person and the click, which finance and
-- administrators read by public.conversion_origins; service_role writes what follows from the reports.
alter table public.conversions enable row level security;
revoke all on table public.conversions from public, anon, authenticated, service_role;

grant select (id, affiliate_network, reference, advertiser_id, tracking_id, matched_by, retailer_id, product_id, status, currency, sale_minor,
  tracked_minor, expected_minor, pending_minor, approved_minor, declined_minor, reversed_minor, paid_minor,
  clawback_minor, variance_minor, ordered_at, clicked_at, approved_at, approved_from, approved_until, created_at,
  updated_at, is_held) on table public.conversions to authenticated;
drop policy if exists conversions_staff_read on public.conversions;
create policy conversions_staff_read on public.conversions for select to authenticated
  using ((select private.app_role()) in ('analyst', 'finance', 'admin'));

grant select, insert, update on table public.conversions to service_role;
drop policy if exists conversions_service_read on public.conversions;
create policy conversions_service_read on public.conversions for select to service_role
  using (true);
drop policy if exists conversions_service_write on public.conversions;
create policy conversions_service_write on public.conversions for insert to service_role
  with check (true);
drop policy if exists conversions_service_change on public.conversions;
create policy conversions_service_change on public.conversions for update to service_role
  using (true)
  with check (true);
