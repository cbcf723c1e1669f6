-- One's own clicks, without what they may earn and without who made the gift link that led to them; written by
-- private.insert_affiliate_click().
alter table public.affiliate_clicks enable row level security;
revoke all on table public.affiliate_clicks from public, anon, authenticated, service_role;

grant select (user_id, id, product_id, offer_id, retailer_id, session_id, recommendation_id, source_page, campaign,
  affiliate_network, click_parameter, affiliate_url, price_minor, currency, click_timestamp, gift_link_id, device_class,
  substitute_of)
  on table public.affiliate_clicks to anon, authenticated;
drop policy if exists affiliate_clicks_own_read on public.affiliate_clicks;
create policy affiliate_clicks_own_read on public.affiliate_clicks for select to anon, authenticated
  using (user_id = (select auth.uid()));

grant select, insert, update, delete on table public.affiliate_clicks to service_role;
drop policy if exists affiliate_clicks_service on public.affiliate_clicks;
create policy affiliate_clicks_service on public.affiliate_clicks for all to service_role
  using (true)
  with check (true);
