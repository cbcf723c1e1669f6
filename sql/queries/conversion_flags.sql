-- Signs of fraud, as service_role, under ledger.lock: domain/fraud.py, services/conversion_flags.py

-- name: recent()
-- What may have changed since it was last looked at, or been clicked since.
select v.id from public.conversions v
where v.updated_at > now() - interval '1 day'
union
select v.id from public.conversions v
where v.ordered_at > now() - interval '1 day'

-- name: all_sales()
select v.id from public.conversions v

-- name: around(conversions)
-- These sales, and those whose flags they may change: of the same order, and by clicks of the same visitors and networks.
with own as materialized (
  select v.id, v.affiliate_network, v.reference, v.click_id
  from public.conversions v where v.id = any (:conversions::uuid[])
),
hits as materialized (
  select distinct h.visitor_hash, h.network_hash
  from own o
  join public.affiliate_clicks c on c.id = o.click_id
  join public.affiliate_redirects h on h.user_id = c.user_id and h.click_id in (c.id, c.substitute_of)
  where h.is_counted and h.visitor_hash is not null
),
followed as (
  select coalesce(r.led_to_click_id, r.click_id) as click_id
  from hits join public.affiliate_redirects r on r.visitor_hash = hits.visitor_hash
  union
  select coalesce(r.led_to_click_id, r.click_id)
  from hits join public.affiliate_redirects r on r.network_hash = hits.network_hash
)
select id from own
union
select v.id from followed f join public.conversions v on v.click_id = f.click_id
union
select v.id
from own o
join public.conversion_reports r using (affiliate_network, reference)
join public.conversion_reports p on p.order_id = r.order_id
join public.conversions v on v.affiliate_network = p.affiliate_network and v.reference = p.reference

-- name: sales(conversions)
-- With the last person's hit of the link before the order (else the next one), and how much came from that visitor and
-- network: links that were followed within the hour, and sales by links that were followed on the day, whose hashes these are.
with sale as materialized (
  select v.id, v.ordered_at, v.click_id, k.followed_at, k.product_id, k.campaign, v.affiliate_network,
    k.has_gift_link and c.gift_link_user_id is not null as has_maker, c.gift_link_user_id as maker_id,
    c.user_id = c.gift_link_user_id and c.session_id is not null as is_maker, hit.visitor_hash, hit.network_hash,
    hit.visited_hour
  from public.conversions v
  left join public.conversion_clicks k on k.affiliate_network = v.affiliate_network and k.reference = v.reference
  left join public.affiliate_clicks c on c.id = k.click_id
  left join lateral (
    select h.visitor_hash, h.network_hash, h.visited_hour from public.affiliate_redirects h
    where h.user_id = c.user_id and h.click_id in (c.id, c.substitute_of)
      and coalesce(h.led_to_click_id, h.click_id) = c.id and h.is_counted and h.visited_hour is not null
    order by h.redirected_at <= v.ordered_at desc, abs(extract(epoch from h.redirected_at - v.ordered_at)), h.id
    limit 1) hit on true
  where v.id = any (:conversions::uuid[])
),
visitor_clicks as materialized (
  select s.visitor_hash, s.visited_hour, count(distinct r.click_id)::int as number
  from (select distinct visitor_hash, visited_hour from sale) s
  join public.affiliate_redirects r on r.visitor_hash = s.visitor_hash and r.visited_hour = s.visited_hour and r.is_counted
  group by 1, 2
),
network_clicks as materialized (
  select s.network_hash, s.visited_hour, count(distinct r.click_id)::int as number
  from (select distinct network_hash, visited_hour from sale) s
  join public.affiliate_redirects r on r.network_hash = s.network_hash and r.visited_hour = s.visited_hour and r.is_counted
  group by 1, 2
),
visitor_sales as materialized (
  select s.visitor_hash, count(distinct v.id)::int as number
  from (select distinct visitor_hash from sale) s
  join public.affiliate_redirects r on r.visitor_hash = s.visitor_hash and r.is_counted
  join public.conversions v on v.click_id = coalesce(r.led_to_click_id, r.click_id)
  group by 1
),
network_sales as materialized (
  select s.network_hash, count(distinct v.id)::int as number
  from (select distinct network_hash from sale) s
  join public.affiliate_redirects r on r.network_hash = s.network_hash and r.is_counted
  join public.conversions v on v.click_id = coalesce(r.led_to_click_id, r.click_id)
  group by 1
)
select s.id, s.affiliate_network as network, s.ordered_at, s.click_id, s.followed_at, s.visited_hour as hour, s.product_id,
  s.campaign,
  coalesce(vc.number, 0) as visitor_clicks, coalesce(nc.number, 0) as network_clicks,
  coalesce(vs.number, 0) as visitor_sales, coalesce(ns.number, 0) as network_sales,
  s.has_maker is true and (s.is_maker is true or exists (  -- who followed it followed a link of the maker's own, too
    select from public.affiliate_redirects r
    join public.affiliate_clicks own on own.user_id = r.user_id and own.id = r.click_id
    where r.visitor_hash = s.visitor_hash and r.user_id = s.maker_id and r.is_counted and own.gift_link_id is null
      and own.gift_link_user_id is null)) as is_by_maker
from sale s
left join visitor_clicks vc on vc.visitor_hash = s.visitor_hash and vc.visited_hour = s.visited_hour
left join network_clicks nc on nc.network_hash = s.network_hash and nc.visited_hour = s.visited_hour
left join visitor_sales vs on vs.visitor_hash = s.visitor_hash
left join network_sales ns on ns.network_hash = s.network_hash

-- name: same_orders(conversions)
-- The other sales of each of these sales' orders: at the same shop, or of the same advertiser.
select distinct v.id, r.order_id, o.id as other_id, o.affiliate_network as other_network, o.reference as other_reference,
  o.ordered_at as other_ordered_at
from public.conversions v
join public.conversion_reports r on r.affiliate_network = v.affiliate_network and r.reference = v.reference
join public.conversion_reports p on p.order_id = r.order_id
join public.conversions o on o.affiliate_network = p.affiliate_network and o.reference = p.reference and o.id <> v.id
  and (o.retailer_id = v.retailer_id
    or (o.affiliate_network = v.affiliate_network and o.advertiser_id = v.advertiser_id))
where v.id = any (:conversions::uuid[])

-- name: busy_hours(hours, minimum)
-- Of products, campaigns and networks with so many visitors in one of these hours: those of that hour and of each hour of the
-- week before it, and how often products were shown then. Of one visitor all hits of an hour are one, and of those of whom
-- nothing is known, too: one network could make any number of hits, and so hold the sales of others.
with hits as materialized (
  select distinct h.visited_hour as hour, h.visitor_hash, c.product_id::text as product, c.campaign,
    c.affiliate_network as network
  from public.affiliate_redirects h
  join public.affiliate_clicks c on c.user_id = h.user_id and c.id = h.click_id
  where h.is_counted
    and h.visited_hour >= (select min(a.hour) from unnest(:hours::timestamptz[]) a (hour)) - interval '7 days'
    and h.visited_hour <= (select max(a.hour) from unnest(:hours::timestamptz[]) a (hour))
),
hourly as (
  select v.hour, v.kind, v.subject, count(*) as number
  from (
    select distinct h.hour, h.visitor_hash, s.kind, s.subject
    from hits h
    cross join lateral (values ('product', h.product), ('campaign', h.campaign), ('network', h.network)) s (kind, subject)
    where s.subject is not null
  ) v
  group by 1, 2, 3
),
compared as (
  select hour, kind, subject, number, coalesce(sum(number) over (
    partition by kind, subject order by hour
    range between interval '7 days' preceding and interval '1 hour' preceding), 0) as number_before
  from hourly
)
select b.hour, b.kind, b.subject, b.number::int as visitors, b.number_before::int as visitors_before,
  coalesce(i.shown, 0)::int as shown, coalesce(i.shown_before, 0)::int as shown_before
from compared b
left join lateral (
  select count(*) filter (where i.shown_at >= b.hour) as shown, count(*) filter (where i.shown_at < b.hour) as shown_before
  from public.impressions i
  where i.product_id = case when b.kind = 'product' then b.subject::uuid end
    and i.id >= private.uuid_v7_floor(b.hour - interval '8 days') and i.id < private.uuid_v7_floor(b.hour + interval '1 day')
    and i.shown_at >= b.hour - interval '7 days' and i.shown_at < b.hour + interval '1 hour') i on true
where b.hour = any (:hours::timestamptz[]) and b.number >= :minimum::int

-- name: lock_people(conversions)
-- Holds write feedback of the people of these sales: as ledger.lock_people.
select p.id from public.profiles p
where p.id in (select v.user_id from public.conversions v where v.id = any (:conversions::uuid[]))
order by p.id for key share

-- name: write(flags, conversions)
-- Of these sales, adds the flags that are new; clears those that no longer hold. What hits say of a sale stands while it has
-- the same click: nobody frees a sale by erasing themselves. Returns what is held anew.
with holding as (
  select r.* from jsonb_to_recordset(:flags::jsonb) r (id uuid, conversion_id uuid, kind text, detail text, click_id uuid)
),
cleared as (
  update public.conversion_flags f set cleared_at = now()
  from public.conversions v
  where v.id = f.conversion_id and f.conversion_id = any (:conversions::uuid[]) and f.cleared_at is null
    and f.kind <> 'manual' and not exists (select from holding h where h.id = f.id)
    and (f.kind in ('duplicate_order', 'early_sale') or f.click_id is distinct from v.click_id)
)
insert into public.conversion_flags as f (id, conversion_id, kind, detail, click_id)
select h.id, h.conversion_id, h.kind, h.detail, h.click_id from holding h
on conflict (id) do update set detail = excluded.detail, cleared_at = null
where f.cleared_at is not null or (f.released_at is null and f.detail <> excluded.detail)
returning f.kind, f.flagged_at = now() as is_new

-- name: conversion(id)
select v.click_id, exists (
  select from public.conversion_flags f where f.conversion_id = v.id and f.kind = 'manual' and f.is_held) as is_held_by_hand
from public.conversions v where v.id = :id::uuid

-- name: hold(id, conversion, detail, click)
insert into public.conversion_flags (id, conversion_id, kind, detail, click_id)
values (:id::uuid, :conversion::uuid, 'manual', :detail::text, :click::uuid)

-- name: release(conversion, reason)
update public.conversion_flags set released_at = now(), release_reason = :reason::text
where conversion_id = :conversion::uuid and is_held
returning id

-- name: listed(held_only, size)
select f.kind, f.detail, f.flagged_at, f.is_held, f.release_reason, v.affiliate_network as network, v.reference
from public.conversion_flags f join public.conversions v on v.id = f.conversion_id
where f.is_held or not :held_only::boolean
order by f.flagged_at desc, f.id desc limit :size::int

-- name: held(is_held)
-- This and what follows are conditions of lists (alias r).
r.is_held = :is_held::boolean

-- name: of_kind(kind)
r.kind = :kind::text

-- name: of_network(network)
exists (select from public.conversions c where c.id = r.conversion_id and c.affiliate_network = :network::text)

-- name: since(at)
r.flagged_at >= :at::timestamptz

-- name: until(at)
r.flagged_at < :at::timestamptz
