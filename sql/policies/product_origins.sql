-- Read by administrators; written by imports.
alter table public.product_origins enable row level security;
revoke all on table public.product_origins from public, anon, authenticated, service_role;

grant select on table public.product_origins to authenticated;
drop policy if exists product_origins_admin_read on public.product_origins;
create policy product_origins_admin_read on public.product_origins for select to authenticated
  using ((select private.is_admin()));

grant select, insert, update, delete on table public.product_origins to service_role;
drop policy if exists product_origins_service on public.product_origins;
create policy product_origins_service on public.product_origins for all to service_role
  using (true)
  with check (true);
