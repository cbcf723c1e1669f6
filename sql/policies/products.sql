-- Public, whether active or not (a filter here would keep indexes from being used: queries filter is_active);
-- admins write the columns granted to them, service_role all.
alter table public.products enable row level security;
revoke all on table public.products from public, anon, authenticated, service_role;

grant select on table public.products to anon, authenticated;
drop policy if exists products_read on public.products;
create policy products_read on public.products for select to anon, authenticated
  using (true);

grant insert (name, description, price_minor, currency, image_url, tags, in_stock, is_active, brand_id, category_id, retailer_id, external_id, affiliate_url),
  update (name, description, price_minor, currency, image_url, tags, in_stock, is_active, brand_id, category_id, images,
    regular_price_minor, sale_price_minor, sale_starts_at, sale_ends_at)
  on table public.products to authenticated;
drop policy if exists products_admin_insert on public.products;
create policy products_admin_insert on public.products for insert to authenticated
  with check ((select private.is_admin()));

drop policy if exists products_admin_update on public.products;
create policy products_admin_update on public.products for update to authenticated
  using ((select private.is_admin()))
  with check ((select private.is_admin()));

grant select, insert, update, delete on table public.products to service_role;
drop policy if exists products_service on public.products;
create policy products_service on public.products for all to service_role
  using (true)
  with check (true);
