-- Public; written by `aclue train`.
alter table public.model_products enable row level security;
revoke all on table public.model_products from public, anon, authenticated, service_role;

grant select on table public.model_products to anon, authenticated;
drop policy if exists model_products_read on public.model_products;
create policy model_products_read on public.model_products for select to anon, authenticated
  using (true);

grant select, insert, update, delete on table public.model_products to service_role;
drop policy if exists model_products_service on public.model_products;
create policy model_products_service on public.model_products for all to service_role
  using (true)
  with check (true);
