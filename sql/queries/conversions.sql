-- Conditions on conversions for lists (alias r), and what explains one.

-- name: of_networks(networks)
r.affiliate_network = any (:networks::text[])

-- name: of_retailer(retailer)
r.retailer_id = :retailer::uuid

-- name: in_states(states)
r.status = any (:states::text[])

-- name: in_currency(currency)
r.currency = :currency::text::char(3)

-- name: with_reference(reference)
r.reference = :reference::text

-- name: since(at)
r.ordered_at >= :at::timestamptz

-- name: until(at)
r.ordered_at < :at::timestamptz

-- name: is_matched(is_matched)
(r.matched_by is not null or exists (
  select from public.placements p where p.network = r.affiliate_network and p.tracking_id = r.tracking_id)) = :is_matched::boolean

-- name: reports_of(conversions)
select c.id as conversion_id, r.id, r.affiliate_network, r.reference, r.identity, r.kind, r.state, r.advertiser_id,
  r.currency::text, r.amount_minor, r.sale_minor, r.stated_at, r.ordered_at, r.clicked_at, r.tracking_id,
  r.facts::text as facts, null::text[] as click_refs
from public.conversions c
join public.conversion_reports r on r.affiliate_network = c.affiliate_network and r.reference = c.reference
where c.id = any (:conversions::uuid[])

-- name: payments_of(conversions)
-- Those that settle what was approved within their periods.
select c.id as conversion_id, p.id, p.reference, p.period_start, p.period_end, p.paid_on, p.amount_minor
from public.conversions c
join public.payments p on p.affiliate_network = c.affiliate_network and p.advertiser_id = c.advertiser_id
  and p.currency = c.currency and p.period_start <= c.approved_until and p.period_end >= c.approved_from
join public.settlements s on s.payment_id = p.id and (s.meets or s.is_accepted)
where c.id = any (:conversions::uuid[])
