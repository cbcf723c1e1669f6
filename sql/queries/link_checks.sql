-- name: try_lock()
-- Two servers that claim at the same time would both find that nobody checks a shop. Until the end of the transaction.
select pg_try_advisory_xact_lock(hashtext('aclue.link_checks'));

-- name: claim(of_shop, size, lease_seconds)
-- Offers that were not checked for a week, but of no shop of which a server has claimed some within the lease: it may still
-- be checking them, and a shop gets one request at a time. What an import has locked is left for later.
with busy as materialized (
  select r.domain from public.retailers r
  where r.domain is not null and exists (
    select from public.product_offers o
    where o.retailer_id = r.id and (o.is_active or o.link_failures = 3)
      and coalesce(o.link_checked_at, '-infinity') > now() - make_interval(secs => :lease_seconds::int))
),
-- Shops in turn, the one whose last check is the longest ago first: by the age of their offers, a few shops with more offers
-- than can be checked in a week would keep out all others.
due as (
  select d.* from public.retailers r
  cross join lateral (
    select max(coalesce(o.link_checked_at, '-infinity')) as checked_at from public.product_offers o
    where o.retailer_id = r.id and (o.is_active or o.link_failures = 3)
  ) last
  cross join lateral (
    select o.id, o.retailer_id, o.link_checked_at from public.product_offers o
    where o.retailer_id = r.id and (o.is_active or o.link_failures = 3)
      and coalesce(o.link_checked_at, '-infinity') < now() - interval '7 days'
    order by coalesce(o.link_checked_at, '-infinity') limit :of_shop::int
    for no key update skip locked
  ) d
  where r.domain is not null and r.domain not in (select domain from busy)
  order by last.checked_at, r.id limit :size::int
)
update public.product_offers o set link_checked_at = now()
from due d where o.id = d.id
returning o.id, o.retailer_id, o.affiliate_url, d.link_checked_at as checked_before;

-- name: shops(ids)
select r.id, r.domain, r.tracking_hosts, r.click_parameter, r.affiliate_network as network,
  coalesce(n.tracking_hosts, '{}') as network_hosts, private.network_rules(r.affiliate_network)::text as rules
from public.retailers r left join public.affiliate_networks n on n.code = r.affiliate_network
where r.id = any (:ids::uuid[]);

-- name: release(ids, times)
-- Offers that were claimed and not checked, as they were before.
update public.product_offers o set link_checked_at = d.checked_before
from (
  select c.id, c.checked_before
  from unnest(:ids::uuid[], :times::timestamptz[]) c (id, checked_before)
  join public.product_offers o on o.id = c.id and o.link_checked_at is not null
  for no key update of o skip locked
) d
where o.id = d.id;

-- name: record(ids, urls, found)
-- What links have answered; not if an import has changed the link, or deactivated the offer, since. Returns the offers
-- that this deactivates or activates again.
with answered as materialized (
  select o.id, o.is_active as was_active,
    case when c.is_found then 0 else least(o.link_failures + 1, 3) end as failures
  from unnest(:ids::uuid[], :urls::text[], :found::boolean[]) c (id, url, is_found)
  join public.product_offers o on o.id = c.id and o.affiliate_url = c.url and (o.is_active or o.link_failures = 3)
  where not c.is_found or o.link_failures > 0
  order by o.id for no key update of o
),
written as (
  update public.product_offers o set link_failures = a.failures, is_active = a.failures < 3
  from answered a
  where o.id = a.id and (o.link_failures, o.is_active) is distinct from (a.failures, a.failures < 3)
  returning o.id, o.is_active, a.was_active
)
select id, is_active from written where is_active <> was_active;
