-- People create and revoke their own gift links; only private.use_gift_link() counts uses. Recipients never read here.
alter table public.gift_links enable row level security;
revoke all on table public.gift_links from public, anon, authenticated, service_role;

grant select on table public.gift_links to anon, authenticated;
drop policy if exists gift_links_own_read on public.gift_links;
create policy gift_links_own_read on public.gift_links for select to anon, authenticated
  using (user_id = (select auth.uid()));

grant insert (product_id, message, recipient_name, occasion, expires_at, max_uses)
  on table public.gift_links to anon, authenticated;
drop policy if exists gift_links_own_insert on public.gift_links;
create policy gift_links_own_insert on public.gift_links for insert to anon, authenticated
  with check (user_id = (select auth.uid()));

-- Revoked now, and for good.
grant update (revoked_at) on table public.gift_links to anon, authenticated;
drop policy if exists gift_links_own_update on public.gift_links;
create policy gift_links_own_update on public.gift_links for update to anon, authenticated
  using (user_id = (select auth.uid()) and revoked_at is null)
  with check (user_id = (select auth.uid()) and revoked_at between now() and clock_timestamp());

grant select, insert, update, delete on table public.gift_links to service_role;
drop policy if exists gift_links_service on public.gift_links;
create policy gift_links_service on public.gift_links for all to service_role
  using (true)
  with check (true);
