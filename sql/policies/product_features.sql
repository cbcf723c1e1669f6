-- Public; written by private.refresh_model().
alter table public.product_features enable row level security;
revoke all on table public.product_features from public, anon, authenticated, service_role;

grant select on table public.product_features to anon, authenticated;
drop policy if exists product_features_read on public.product_features;
create policy product_features_read on public.product_features for select to anon, authenticated
  using (true);

grant select, insert, update, delete on table public.product_features to service_role;
drop policy if exists product_features_service on public.product_features;
create policy product_features_service on public.product_features for all to service_role
  using (true)
  with check (true);
