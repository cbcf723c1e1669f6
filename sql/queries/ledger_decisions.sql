-- What people decide about conversions and exceptions, as service_role, under ledger.lock.

-- name: of_conversions(conversions)
-- The shop that each was last matched to, and the faults that were accepted.
select a.conversion_id, m.retailer_id, m.tracking_id, f.accepted
from unnest(:conversions::uuid[]) a (conversion_id)
left join lateral (
  select d.retailer_id, d.tracking_id from public.ledger_decisions d
  where d.conversion_id = a.conversion_id and d.kind = 'match'
  order by d.recorded_at desc, d.id desc limit 1) m on true
cross join lateral (
  select array(
    select x.detail from public.exceptions x join public.ledger_decisions d on d.id = x.decision_id
    where x.conversion_id = a.conversion_id and d.kind = 'accept') as accepted) f
where m.retailer_id is not null or f.accepted <> '{}'

-- name: conversion(id)
select c.affiliate_network, c.reference, c.advertiser_id, c.currency::text, c.ordered_at, c.click_id,
  c.click_id is not null and not exists (select from public.affiliate_clicks k where k.id = c.click_id) as is_erased
from public.conversions c where c.id = :id::uuid

-- name: exception(id)
-- With the conversion, or the payment, that it is about.
select x.id, x.closed_at, d.kind as decision, d.due_minor as decided_minor, x.conversion_id, c.affiliate_network,
  c.reference, x.payment_id, p.affiliate_network as payment_network, p.advertiser_id, p.currency::text, s.due_minor
from public.exceptions x
left join public.ledger_decisions d on d.id = x.decision_id
left join public.conversions c on c.id = x.conversion_id
left join public.payments p on p.id = x.payment_id
left join public.settlements s on s.payment_id = x.payment_id
where x.id = :id::uuid

-- name: click(id)
select c.id, c.retailer_id, c.click_timestamp from public.affiliate_clicks c where c.id = :id::uuid

-- name: placement(network, tracking_id)
select p.retailer_id from public.placements p where p.network = :network::text and p.tracking_id = :tracking_id::text

-- name: shop(id, slug)
select r.id from public.retailers r where r.id = :id::uuid or r.slug = :slug::text

-- name: match(network, reference, click)
select private.match_conversion(:network::text, :reference::text, :click::uuid, 'manual')

-- name: report(network, reference, identity)
select r.id from public.conversion_reports r
where r.affiliate_network = :network::text and r.reference = :reference::text and r.identity = :identity::text

-- name: add(kind, reason, conversion, exception, due_minor, click, retailer, tracking_id, report)
insert into public.ledger_decisions (
  kind, reason, conversion_id, exception_id, due_minor, click_id, retailer_id, tracking_id, report_id)
values (
  :kind::text, :reason::text, :conversion::uuid, :exception::uuid, :due_minor::bigint, :click::uuid, :retailer::uuid,
  :tracking_id::text, :report::uuid)
returning id

-- name: decide(exception, decision)
update public.exceptions set decision_id = :decision::uuid, closed_at = coalesce(closed_at, now())
where id = :exception::uuid

-- name: open_exceptions(size)
select x.id, x.kind, x.detail, x.concerns_on, coalesce(c.affiliate_network, p.affiliate_network) as network,
  coalesce(c.reference, p.reference) as reference
from public.exceptions x
left join public.conversions c on c.id = x.conversion_id
left join public.payments p on p.id = x.payment_id
where x.closed_at is null order by x.opened_at, x.id limit :size
