-- For analysts, finance and administrators, under their own claims.

-- name: funnel(grouping, first_day, last_day, is_daily, first, skip)
with counted as (
  select c.day, c.counts, c.people, c.is_suppressed, c.keys[array_position(g.names, 'source')] as source,
    c.keys[array_position(g.names, 'device')] as device, c.keys[array_position(g.names, 'campaign')] as campaign,
    c.keys[array_position(g.names, 'network')] as network, c.keys[array_position(g.names, 'retailer')]::uuid as retailer_id,
    c.keys[array_position(g.names, 'category')]::uuid as category_id
  from private.rollup_counts('funnel', :grouping::text, :first_day::date, :last_day::date, :is_daily::boolean) c
  cross join (select string_to_array(:grouping::text, ',') as names) g
)
select c.day, c.source, c.device, c.campaign, c.network, r.slug as retailer, g.slug as category, c.counts, c.people,
  c.is_suppressed
from counted c
left join public.retailers r on r.id = c.retailer_id
left join public.categories g on g.id = c.category_id
order by 1, 2, 3, 4, 5, 6, 7
offset :skip::int limit :first::int

-- name: performance(grouping, first_day, last_day, is_daily, first, skip)
select c.day, c.keys[array_position(g.names, 'context')] as context,
  c.keys[array_position(g.names, 'model')]::integer as model, c.keys[array_position(g.names, 'arm')]::integer as arm,
  c.counts, c.people, c.is_suppressed
from private.rollup_counts('recommendations', :grouping::text, :first_day::date, :last_day::date, :is_daily::boolean) c
cross join (select string_to_array(:grouping::text, ',') as names) g
order by 1, 2, 3, 4
offset :skip::int limit :first::int

-- name: revenue(by, grouping, first_day, last_day, as_of, known_at, reporting, clicks, first, skip)
-- Clicks (their place among the counts of the funnel; null: they may not be read) are of the group, whatever the currency.
with money as (
  select m.*, (m.day, m.source, m.device, m.campaign, m.network, m.retailer_id, m.category_id)::text as key
  from private.revenue(
    :by::text[], :first_day::date, :last_day::date, :as_of::timestamptz, :known_at::timestamptz, :reporting::text) m
),
clicks as (
  select c.*, (c.day, c.source, c.device, c.campaign, c.network, c.retailer_id, c.category_id)::text as key
  from (
    select c.day, c.keys[array_position(g.names, 'source')] as source, c.keys[array_position(g.names, 'device')] as device,
      c.keys[array_position(g.names, 'campaign')] as campaign, c.keys[array_position(g.names, 'network')] as network,
      c.keys[array_position(g.names, 'retailer')]::uuid as retailer_id,
      c.keys[array_position(g.names, 'category')]::uuid as category_id,
      c.counts[:clicks::int] as clicks, c.is_suppressed[:clicks::int] as is_suppressed
    from (select string_to_array(:grouping::text, ',') as names where :clicks::int is not null) g
    cross join lateral private.rollup_counts(
      'funnel', :grouping::text, :first_day::date, :last_day::date, 'day' = any (:by::text[])) c) c
  where c.clicks > 0 or c.is_suppressed
),
groups as (
  select day, source, device, campaign, network, retailer_id, category_id, key from money
  union select day, source, device, campaign, network, retailer_id, category_id, key from clicks
)
select k.day, k.source, k.device, k.campaign, k.network, r.slug as retailer, g.slug as category, m.currency,
  coalesce(m.orders, 0) as orders, m.figures, m.reported,
  case when c.key is null and :clicks::int is not null then 0 else c.clicks end as clicks,
  coalesce(c.is_suppressed, :clicks::int is null) as is_suppressed
from groups k
left join money m on m.key = k.key
left join clicks c on c.key = k.key
left join public.retailers r on r.id = k.retailer_id
left join public.categories g on g.id = k.category_id
order by 1, 2, 3, 4, 5, 6, 7, m.currency
offset :skip::int limit :first::int
