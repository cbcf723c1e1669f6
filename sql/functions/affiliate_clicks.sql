-- Clicks are written only here: amounts, rates and links come from the catalogue, never from the caller.

create or replace function private.create_affiliate_click(
  p_product uuid, p_session uuid, p_recommendation uuid, p_source_page text, p_campaign text)
returns uuid
language sql security definer
set search_path = ''
as $$
  insert into public.affiliate_clicks (
    user_id, product_id, retailer_id, session_id, recommendation_id, source_page, campaign, affiliate_network,
    click_parameter, affiliate_url, price_minor, currency, commission_rate, expected_commission_minor)
  select auth.uid(), p.id, r.id, p_session, p_recommendation, p_source_page, p_campaign, r.affiliate_network,
    n.click_parameter, p.affiliate_url, p.price_minor, p.currency, r.commission_rate,
    round(p.price_minor * r.commission_rate)::bigint
  from public.products p
  join public.retailers r on r.id = p.retailer_id
  left join public.affiliate_networks n on n.code = r.affiliate_network
  where p.id = p_product and p.is_active
  returning id
$$;
comment on function private.create_affiliate_click(uuid, uuid, uuid, text, text) is
  'The caller''s new click; null when the product is not on offer.';

create or replace function private.follow_affiliate_click(p_click uuid, p_user_agent text)
returns table (affiliate_url text, click_parameter text)
language sql security definer
set search_path = ''
as $$
  with click as (select * from public.affiliate_clicks where id = p_click),
  hit as (
    insert into public.affiliate_redirects (user_id, click_id, user_agent)
    select user_id, id, left(p_user_agent, 400) from click
  )
  select affiliate_url, click_parameter from click
$$;
comment on function private.follow_affiliate_click(uuid, text) is 'Records a hit of a tracked link; no row when unknown.';

revoke all on function private.create_affiliate_click(uuid, uuid, uuid, text, text),
  private.follow_affiliate_click(uuid, text) from public, anon, authenticated;
grant execute on function private.create_affiliate_click(uuid, uuid, uuid, text, text)
  to anon, authenticated, service_role;
grant execute on function private.follow_affiliate_click(uuid, text) to service_role;
