-- name: rebuild(user_id)
-- Affinities to categories, brands and tags, each sum(weight * lean) / (sum(weight) + prior): -1..1, drawn to 0 while
-- there is little evidence. Nothing for somebody who withdrew personalisation. The price range is the 10th to 90th percentile of what was liked, from three likes on.
with parameters as (select private.default_model_parameters() as p),
signals as materialized (
  select s.* from private.weighted_signals(
    :user_id::uuid, 'infinity', false, (select (p ->> 'half_life_days')::double precision from parameters)) s
),
sums as (
  select f.kind, f.key, sum(s.weight * s.lean) as n, sum(s.weight) as w
  from signals s cross join lateral (
    select 'category' as kind, s.category_id::text as key
    union all select 'brand', s.brand_id::text where s.brand_id is not null
    union all select 'tag', tag from unnest(s.tags) tag
  ) f
  group by 1, 2
),
affinities as (
  select sums.kind, coalesce(c.slug, b.slug, sums.key) as slug,
    coalesce(c.name, b.name, initcap(replace(sums.key, '-', ' '))) as name,
    round((n / (w + (select (p ->> 'prior_weight')::double precision from parameters)))::numeric, 6) as score
  from sums
  left join public.categories c on c.id = case when sums.kind = 'category' then sums.key::uuid end
  left join public.brands b on b.id = case when sums.kind = 'brand' then sums.key::uuid end
),
lists as (
  select kind, jsonb_agg(jsonb_build_object('slug', slug, 'name', name, 'score', score) order by score desc, slug) as list
  from affinities group by kind
),
likes as (
  select currency, price_minor from signals
  where lean > 0
    and currency = (select currency from signals where lean > 0 group by currency order by count(*) desc, currency limit 1)
),
prices as (
  select min(currency)::char(3) as currency, percentile_disc(0.1) within group (order by price_minor) as low,
    percentile_disc(0.9) within group (order by price_minor) as high
  from likes having count(*) >= 3
),
counts as (
  select count(*)::int as total, (count(*) filter (where direction in ('right', 'up')))::int as rights
  from public.swipes where user_id = :user_id::uuid and undone_at is null
)
insert into public.user_preferences (
  category_preferences, brand_preferences, style_preferences, min_price_minor, max_price_minor, price_currency,
  total_swipes, right_swipes, confidence)
select
  coalesce((select list from lists where kind = 'category'), '[]'),
  coalesce((select list from lists where kind = 'brand'), '[]'),
  coalesce((select list from lists where kind = 'tag'), '[]'),
  (select low from prices), (select high from prices), (select currency from prices),
  counts.total, counts.rights,
  round((select count(*) / (count(*) + 10.0) from signals), 4)
from counts
where private.has_consent(:user_id::uuid, 'personalisation')
on conflict (user_id) do update set
  category_preferences = excluded.category_preferences, brand_preferences = excluded.brand_preferences,
  style_preferences = excluded.style_preferences, min_price_minor = excluded.min_price_minor,
  max_price_minor = excluded.max_price_minor, price_currency = excluded.price_currency,
  total_swipes = excluded.total_swipes, right_swipes = excluded.right_swipes, confidence = excluded.confidence
returning user_id
