-- Alerts about commissions, as service_role: docs/money.md#alerts

-- name: overdue(month)
-- What is pending for longer than its network usually takes; of one month of orders, or of all (null).
select c.affiliate_network as network, c.advertiser_id as advertiser, r.slug as retailer,
  to_char(c.ordered_at at time zone 'UTC', 'YYYY-MM') as month, c.currency::text, count(*)::int as conversions,
  sum(c.pending_minor)::bigint as amount, floor(extract(epoch from now() - min(c.ordered_at)) / 86400)::int as days
from public.affiliate_networks n
join public.conversions c on c.affiliate_network = n.code and c.status in ('pending', 'amended')
  and c.ordered_at < now() - make_interval(days => n.overdue_days)
left join public.retailers r on r.id = c.retailer_id
where :month::date is null or (c.ordered_at at time zone 'UTC')::date >= :month::date
  and (c.ordered_at at time zone 'UTC')::date < (:month::date + interval '1 month')::date
group by 1, 2, 3, 4, 5
order by 1, 2, 3 nulls last, 4, 5

-- name: update()
-- Opens, changes and closes alerts until they are what holds; returns those that are new, or open again.
with holding as materialized (
  select 'overdue' as kind, c.affiliate_network, c.advertiser_id, c.currency,
    date_trunc('month', c.ordered_at at time zone 'UTC')::date as month, sum(c.pending_minor)::bigint as amount_minor,
    count(*)::int as conversions
  from public.affiliate_networks n
  join public.conversions c on c.affiliate_network = n.code and c.status in ('pending', 'amended')
    and c.ordered_at < now() - make_interval(days => n.overdue_days)
  group by 1, 2, 3, 4, 5
  union all
  select 'variance', c.affiliate_network, c.advertiser_id, c.currency,
    date_trunc('month', c.ordered_at at time zone 'UTC')::date, sum(c.variance_minor)::bigint, count(*)::int
  from public.conversions c
  where c.variance_minor <> 0
  group by 1, 2, 3, 4, 5
),
closed as (
  update public.alerts a set closed_at = now()
  where a.closed_at is null and not exists (
    select from holding h
    where (h.kind, h.affiliate_network, h.advertiser_id, h.currency, h.month)
      = (a.kind, a.affiliate_network, a.advertiser_id, a.currency, a.month))
)
insert into public.alerts as a (kind, affiliate_network, advertiser_id, month, currency, amount_minor, conversions)
select h.kind, h.affiliate_network, h.advertiser_id, h.month, h.currency, h.amount_minor, h.conversions from holding h
on conflict (affiliate_network, advertiser_id, month, currency, kind) do update set
  amount_minor = excluded.amount_minor, conversions = excluded.conversions, closed_at = null,
  opened_at = case when a.closed_at is null then a.opened_at else now() end
where (a.amount_minor, a.conversions) is distinct from (excluded.amount_minor, excluded.conversions)
  or a.closed_at is not null
returning kind, affiliate_network, advertiser_id, to_char(month, 'YYYY-MM') as month, currency::text, amount_minor,
  conversions, opened_at = now() as is_new

-- name: set_overdue_days(network, days)
update public.affiliate_networks set overdue_days = :days::int where code = :network::text returning code
