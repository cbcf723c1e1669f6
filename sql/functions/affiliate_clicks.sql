-- The only functions that write clicks: amounts, rates and links come from the catalogue, never from the caller.

drop function if exists private.insert_affiliate_click(uuid, uuid, uuid, uuid, text, text, uuid, uuid);
drop function if exists private.insert_affiliate_click(uuid, uuid, uuid, uuid, text, text, uuid, uuid, uuid);
create or replace function private.insert_affiliate_click(
  p_user uuid, p_product uuid, p_session uuid, p_recommendation uuid, p_source_page text, p_campaign text,
  p_gift_link_user uuid default null, p_gift_link uuid default null, p_offer uuid default null,
  p_device_class text default null, p_substitute_of uuid default null)
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
    user_id, product_id, offer_id, retailer_id, session_id, recommendation_id, source_page, campaign, affiliate_network,
    click_parameter, affiliate_url, price_minor, currency, commission_rate, expected_commission_minor,
    commission_rule_id, commission_flat_minor, commission_cap_minor,
    gift_link_user_id, gift_link_id, device_class, substitute_of)
  select p_user, p.id, o.id, r.id, p_session, p_recommendation, p_source_page, p_campaign, r.affiliate_network,
    n.click_parameter, o.affiliate_url, o.price_minor, o.currency, e.rate,
    private.expected_commission(o.price_minor, e.rate, e.flat_minor, e.cap_minor), e.rule_id, e.flat_minor, e.cap_minor,
    p_gift_link_user, p_gift_link,
    case when private.has_consent(p_user, 'analytics') then p_device_class end, p_substitute_of
  from public.product_offers wanted  -- the product's id may be one that was merged
  join public.products p on p.id = wanted.product_id
  join public.product_offers o on o.id = coalesce(p_offer, p.offer_id, p.id) and o.product_id = p.id and o.is_active
  join public.retailers r on r.id = o.retailer_id
  left join public.affiliate_networks n on n.code = r.affiliate_network
  left join lateral private.commission_terms(r.id, p.category_id, p.brand_id, o.currency, now()) e on true
  where wanted.id = p_product and p.is_active
  on conflict (user_id, substitute_of, offer_id) where substitute_of is not null do nothing
  returning id into click;
  return click;
end
$$;
comment on function private.insert_affiliate_click(
  uuid, uuid, uuid, uuid, text, text, uuid, uuid, uuid, text, uuid) is
  'Creates a click of this person to an offer of the product (null: the leading one); null if there is no such offer now, or a '
  'click to it in place of p_substitute_of already. Called by other functions only.';

drop function if exists private.create_affiliate_click(uuid, uuid, uuid, uuid, text, text);
create or replace function private.create_affiliate_click(
  p_product uuid, p_offer uuid, p_session uuid, p_recommendation uuid, p_source_page text, p_campaign text,
  p_device_class text default null)
returns uuid
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  select private.insert_affiliate_click(
    auth.uid(), p_product, p_session, p_recommendation, p_source_page, p_campaign, p_offer => p_offer,
    p_device_class => p_device_class)
$$;
comment on function private.create_affiliate_click(uuid, uuid, uuid, uuid, text, text, text) is
  'Creates a click of the caller to an offer (null: the leading one); null if the product has no such offer now.';

-- The previous release calls this one.
create or replace function private.create_affiliate_click(
  p_product uuid, p_session uuid, p_recommendation uuid, p_source_page text, p_campaign text)
returns uuid
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  select private.create_affiliate_click(p_product, null, p_session, p_recommendation, p_source_page, p_campaign)
$$;

create or replace function private.substitute_affiliate_click(p_click uuid, p_offer uuid, p_device_class text)
returns uuid
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  clicked public.affiliate_clicks;
  found_id uuid;
begin
  select * into clicked from public.affiliate_clicks where id = p_click;
  if clicked.id is null then
    return null;
  end if;
  found_id := private.insert_affiliate_click(
    clicked.user_id, p_offer, clicked.session_id, clicked.recommendation_id, clicked.source_page, clicked.campaign,
    clicked.gift_link_user_id, clicked.gift_link_id, p_offer, p_device_class, p_click);
  if found_id is null then
    select s.id into found_id from public.affiliate_clicks s
    where s.user_id = clicked.user_id and s.substitute_of = p_click and s.offer_id = p_offer;
  end if;
  return found_id;
end
$$;
comment on function private.substitute_affiliate_click(uuid, uuid, text) is
  'The click to another offer that a click''s link leads to; creates it, on the terms of that offer. Null if there is no such '
  'click or offer.';

drop function if exists private.record_affiliate_redirect(uuid, bytea, text, text, uuid);
create or replace function private.record_affiliate_redirect(
  p_click uuid, p_visitor_hash bytea, p_device_class text, p_uncounted_reason text, p_led_to uuid,
  p_network_hash bytea default null)
returns boolean
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  with hit as (
    insert into public.affiliate_redirects (
      user_id, click_id, visitor_hash, network_hash, device_class, is_counted, uncounted_reason, visited_hour,
      led_to_click_id)
    select c.user_id, c.id, case when k.is_known then p_visitor_hash end, case when k.is_known then p_network_hash end,
      case when k.is_known then p_device_class end,
      p_uncounted_reason is null, p_uncounted_reason, date_trunc('hour', now(), 'UTC'), nullif(p_led_to, c.id)
    from public.affiliate_clicks c
    cross join lateral (
      select p_uncounted_reason is null and private.has_consent(c.user_id, 'analytics') as is_known) k
    where c.id = p_click
    on conflict do nothing
    returning id
  )
  select exists (select from hit)
$$;
comment on function private.record_affiliate_redirect(uuid, bytea, text, text, uuid, bytea) is
  'Records a hit of a tracked link, once per visitor and hour, or per reason not to count it; whether it was recorded. '
  'p_led_to: the click whose token the shop was given.';

-- The previous release calls this one.
create or replace function private.record_affiliate_redirect(p_click uuid, p_visitor_hash bytea, p_device_class text)
returns boolean
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  select private.record_affiliate_redirect(p_click, p_visitor_hash, p_device_class, null, null)
$$;

create or replace function private.route_affiliate_click(p_click uuid)
returns table (
  click_id uuid, offer_id uuid, is_substitute boolean, affiliate_url text, network text, domain text,
  tracking_hosts text[], click_parameter text, network_hosts text[], rules text, tracking_id text)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(s.id, c.id), t.offer_id, t.is_substitute, t.affiliate_url, t.network, r.domain,
    coalesce(r.tracking_hosts, '{}'), r.click_parameter, coalesce(n.tracking_hosts, '{}'),
    private.network_rules(t.network)::text, p.tracking_id
  from public.affiliate_clicks c
  join public.product_offers wanted on wanted.id = coalesce(c.offer_id, c.product_id)
  cross join lateral (  -- the clicked offer if it is in stock, else the best of the product that is, else the clicked one
    select o.id as offer_id, not k.is_clicked as is_substitute,
      case when k.is_clicked then c.affiliate_url else o.affiliate_url end as affiliate_url,
      case when k.is_clicked then c.retailer_id else o.retailer_id end as retailer_id,
      case when k.is_clicked then c.affiliate_network else seller.affiliate_network end as network
    from public.product_offers o
    join public.products product on product.id = o.product_id and product.is_active
    join public.currencies y on y.code = o.currency
    join public.retailers seller on seller.id = o.retailer_id
    cross join lateral (  -- a click whose offer was removed, or that is older than offers, names none
      select o.id = wanted.id and (c.offer_id is not null or o.retailer_id is not distinct from c.retailer_id) as is_clicked
    ) k
    where o.product_id = wanted.product_id and o.is_active
    order by o.in_stock desc, k.is_clicked desc, o.currency = c.currency desc, y.is_default desc, o.currency,
      o.price_minor, o.shipping_minor, o.first_seen_at, o.id
    limit 1
  ) t
  left join public.retailers r on r.id = t.retailer_id
  left join public.affiliate_networks n on n.code = t.network
  left join public.affiliate_clicks s
    on t.is_substitute and s.user_id = c.user_id and s.substitute_of = c.id and s.offer_id = t.offer_id
  left join lateral (
    select p.tracking_id from public.placements p
    where p.retailer_id = t.retailer_id and p.network = t.network and p.is_current and (
      p.name = 'default' or starts_with(
        lower(btrim(split_part(split_part(c.source_page, '?', 1), '#', 1), '/ ')) || '/', p.name || '/'))
    order by p.name = 'default', char_length(p.name) desc
    limit 1
  ) p on true
  where c.id = p_click
$$;
comment on function private.route_affiliate_click(uuid) is
  'Where the link of a click leads now, and what is known of that shop''s links (domain/links.py): to the offer that was '
  'clicked or, if that is gone or sold out, to the best of the product (is_substitute; click_id: the click to it, if there is '
  'one already). tracking_id: of the place where the click was made, that of its page, or of the longest beginning of it. No '
  'row if nobody sells the product any more.';

-- The previous release calls these.
create or replace function private.link_of_affiliate_click(p_click uuid)
returns table (affiliate_url text, network text, domain text, tracking_hosts text[], click_parameter text,
  network_hosts text[], rules text, tracking_id text)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select c.affiliate_url, c.affiliate_network, r.domain, coalesce(r.tracking_hosts, '{}'), r.click_parameter,
    coalesce(n.tracking_hosts, '{}'), private.network_rules(c.affiliate_network)::text, p.tracking_id
  from public.affiliate_clicks c
  left join public.retailers r on r.id = c.retailer_id
  left join public.affiliate_networks n on n.code = c.affiliate_network
  left join lateral (
    select p.tracking_id from public.placements p
    where p.retailer_id = c.retailer_id and p.network = c.affiliate_network and p.is_current and (
      p.name = 'default' or starts_with(
        lower(btrim(split_part(split_part(c.source_page, '?', 1), '#', 1), '/ ')) || '/', p.name || '/'))
    order by p.name = 'default', char_length(p.name) desc
    limit 1
  ) p on true
  where c.id = p_click
$$;
create or replace function private.follow_affiliate_click(p_click uuid, p_visitor_hash bytea, p_device_class text)
returns table (affiliate_url text, click_parameter text)
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  select c.affiliate_url, c.click_parameter
  from public.affiliate_clicks c
  cross join lateral (select private.record_affiliate_redirect(p_click, p_visitor_hash, p_device_class)) hit
  where c.id = p_click
$$;

create or replace function private.follow_affiliate_click(p_click uuid, p_user_agent text)
returns table (affiliate_url text, click_parameter text)
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  select affiliate_url, click_parameter from private.follow_affiliate_click(p_click, null::bytea, null::text)
$$;

revoke all on function private.create_affiliate_click(uuid, uuid, uuid, text, text),
  private.create_affiliate_click(uuid, uuid, uuid, uuid, text, text, text),
  private.insert_affiliate_click(uuid, uuid, uuid, uuid, text, text, uuid, uuid, uuid, text, uuid),
  private.substitute_affiliate_click(uuid, uuid, text), private.route_affiliate_click(uuid),
  private.record_affiliate_redirect(uuid, bytea, text, text, uuid, bytea),
  private.record_affiliate_redirect(uuid, bytea, text), private.link_of_affiliate_click(uuid),
  private.follow_affiliate_click(uuid, bytea, text), private.follow_affiliate_click(uuid, text)
  from public, anon, authenticated;
grant execute on function private.create_affiliate_click(uuid, uuid, uuid, text, text),
  private.create_affiliate_click(uuid, uuid, uuid, uuid, text, text, text)
  to anon, authenticated, service_role;
grant execute on function private.substitute_affiliate_click(uuid, uuid, text), private.route_affiliate_click(uuid),
  private.record_affiliate_redirect(uuid, bytea, text, text, uuid, bytea),
  private.record_affiliate_redirect(uuid, bytea, text), private.link_of_affiliate_click(uuid),
  private.follow_affiliate_click(uuid, bytea, text), private.follow_affiliate_click(uuid, text) to service_role;
