-- Hits of tracked links: only service_role may read them.
alter table public.affiliate_redirects enable row level security;
revoke all on table public.affiliate_redirects from public, anon, authenticated, service_role;

grant select, insert, update, delete on table public.affiliate_redirects to service_role;
drop policy if exists affiliate_redirects_service on public.affiliate_redirects;
create policy affiliate_redirects_service on public.affiliate_redirects for all to service_role
  using (true)
  with check (true);
