-- The ledger: analysts and administrators read it without the person and the click, service_role writes.
alter table public.conversions enable row level security;
revoke all on table public.conversions from public, anon, authenticated, service_role;

grant select (id, affiliate_network, network_reference, retailer_id, product_id, status, sale_minor, commission_minor, currency,
  clicked_at, ordered_at, created_at, updated_at) on table public.conversions to authenticated;
drop policy if exists conversions_staff_read on public.conversions;
create policy conversions_staff_read on public.conversions for select to authenticated
  using ((select private.app_role()) in ('analyst', 'admin'));

grant select, insert, update, delete on table public.conversions to service_role;
drop policy if exists conversions_service on public.conversions;
create policy conversions_service on public.conversions for all to service_role
  using (true)
  with check (true);
