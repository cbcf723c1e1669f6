-- The only functions that write clicks: amounts, rates and links come from the catalogue, never from the caller.

create or replace function private.insert_affiliate_click(
  p_user uuid, p_product uuid, p_session uuid, p_recommendation uuid, p_source_page text, p_campaign text,
  p_gift_link_user uuid default null, p_gift_link uuid default null)
returns uuid
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  click uuid;
begin
  -- Looked at before the insert: a constraint that fails shows the whole row, by the owner's rights, with what callers may
  -- not read, such as the commission and the maker of the gift link.
  if p_user is null then
    raise insufficient_privilege using message = 'a click needs a person';
  end if;
  if char_length(p_source_page) > 200 or char_length(p_campaign) > 200 then
    raise string_data_right_truncation using message = 'source_page and campaign have at most 200 characters';
  end if;
  insert into public.affiliate_clicks (
    user_id, product_id, retailer_id, session_id, recommendation_id, source_page, campaign, affiliate_network,
    click_parameter, affiliate_url, price_minor, currency, commission_rate, expected_commission_minor,
    commission_rule_id, commission_flat_minor, commission_cap_minor,
    gift_link_user_id, gift_link_id)
  select p_user, p.id, r.id, p_session, p_recommendation, p_source_page, p_campaign, r.affiliate_network,
    n.click_parameter, p.affiliate_url, p.price_minor, p.currency, e.rate,
    private.expected_commission(p.price_minor, e.rate, e.flat_minor, e.cap_minor), e.rule_id, e.flat_minor, e.cap_minor,
    p_gift_link_user, p_gift_link
  from public.products p
  join public.retailers r on r.id = p.retailer_id
  left join public.affiliate_networks n on n.code = r.affiliate_network
  left join lateral private.commission_terms(r.id, p.category_id, p.brand_id, p.currency, now()) e on true
  where p.id = p_product and p.is_active
  returning id into click;
  return click;
end
$$;
comment on function private.insert_affiliate_click(uuid, uuid, uuid, uuid, text, text, uuid, uuid) is
  'Creates a click of this person; null if the product is not on offer. Called by other functions only.';

create or replace function private.create_affiliate_click(
  p_product uuid, p_session uuid, p_recommendation uuid, p_source_page text, p_campaign text)
returns uuid
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  select private.insert_affiliate_click(
    auth.uid(), p_product, p_session, p_recommendation, p_source_page, p_campaign)
$$;
comment on function private.create_affiliate_click(uuid, uuid, uuid, text, text) is
  'Creates a click of the caller; null if the product is not on offer.';

create or replace function private.follow_affiliate_click(p_click uuid, p_visitor_hash bytea, p_device_class text)
returns table (affiliate_url text, click_parameter text)
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  with click as (select * from public.affiliate_clicks where id = p_click),
  hit as (
    insert into public.affiliate_redirects (user_id, click_id, visitor_hash, device_class)
    select c.user_id, c.id, p_visitor_hash, p_device_class from click c
    where not exists (
      select from public.affiliate_redirects r
      where r.user_id = c.user_id and r.click_id = c.id and r.visitor_hash = p_visitor_hash
        and r.redirected_at > now() - interval '1 hour')
  )
  select affiliate_url, click_parameter from click
$$;
comment on function private.follow_affiliate_click(uuid, bytea, text) is
  'Records a hit of a tracked link, once per visitor and hour; no row for an unknown link.';

-- The previous release calls this one; nothing of the user agent is stored.
create or replace function private.follow_affiliate_click(p_click uuid, p_user_agent text)
returns table (affiliate_url text, click_parameter text)
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  select affiliate_url, click_parameter from private.follow_affiliate_click(p_click, null::bytea, null::text)
$$;

revoke all on function private.create_affiliate_click(uuid, uuid, uuid, text, text),
  private.insert_affiliate_click(uuid, uuid, uuid, uuid, text, text, uuid, uuid),
  private.follow_affiliate_click(uuid, bytea, text), private.follow_affiliate_click(uuid, text)
  from public, anon, authenticated;
grant execute on function private.create_affiliate_click(uuid, uuid, uuid, text, text)
  to anon, authenticated, service_role;
grant execute on function private.follow_affiliate_click(uuid, bytea, text),
  private.follow_affiliate_click(uuid, text) to service_role;
