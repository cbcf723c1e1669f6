-- What follows from swipes: docs/recommendations.md.

-- Computed when it is read, rather than stored by each swipe, which made that four times as slow; what nobody selects is
-- not computed. Row level security of the reader applies. One row per person who ever swiped and whose personalisation
-- is on; swipes for somebody else, in the gift finder, do not count.
drop function if exists private.update_preferences(uuid[]);
drop function if exists private.follow_swipes(uuid[]);
create or replace view public.user_preferences with (security_invoker = true) as
select p.id as user_id, p.id, t.category_preferences, t.brand_preferences, t.style_preferences, t.min_price_minor,
  t.max_price_minor, t.price_currency, c.total_swipes, c.right_swipes, t.confidence, c.created_at, c.updated_at
from public.profiles p
left join lateral (
  select (count(*) filter (where s.undone_at is null))::integer as total_swipes,
    (count(*) filter (where s.undone_at is null and s.direction in ('right', 'up')))::integer as right_swipes,
    min(s.created_at) as created_at, greatest(max(s.created_at), max(s.undone_at)) as updated_at
  from public.swipes s where s.user_id = p.id and not s.is_for_somebody_else
) c on true
left join lateral (
  with parameters as (
    select (d ->> 'half_life_days')::double precision as half_life, (d ->> 'prior_weight')::double precision as prior,
      50 as most  -- of each kind, those that say most either way; schema/preferences.py: MAX_AFFINITIES
    from private.default_model_parameters() d
  ),
  signals as materialized (
    select r.category_id, r.brand_id, r.tags, r.price_minor, r.currency,
      round((2 * g.preference_strength - 1) * 1e4::double precision) / 1e4::double precision as lean,
      power(0.5, floor(date_part('epoch', max(g.swiped_at) over () - g.swiped_at) / 86400) / d.half_life)
        ::double precision as weight
    from public.product_signals g
    join public.products r on r.id = g.product_id
    cross join parameters d
    where g.user_id = p.id and g.preference_strength is not null
  ),
  prices as (
    select s.currency, percentile_disc(0.1) within group (order by s.price_minor) as low,
      percentile_disc(0.9) within group (order by s.price_minor) as high, count(*) as likes
    from signals s where s.lean > 0
    group by s.currency order by likes desc, s.currency limit 1
  )
  select
    coalesce((
      select jsonb_agg(entry order by entry.score desc, entry.slug) from (
        select k.slug, k.name, a.score
        from (
          select s.category_id, round((sum(s.weight * s.lean) / (sum(s.weight) + max(d.prior)))::numeric, 6) as score
          from signals s cross join parameters d group by s.category_id) a
        join public.categories k on k.id = a.category_id
        order by abs(a.score) desc, k.slug limit (select most from parameters)) entry), '[]') as category_preferences,
    coalesce((
      select jsonb_agg(entry order by entry.score desc, entry.slug) from (
        select b.slug, b.name, a.score
        from (
          select s.brand_id, round((sum(s.weight * s.lean) / (sum(s.weight) + max(d.prior)))::numeric, 6) as score
          from signals s cross join parameters d group by s.brand_id) a
        join public.brands b on b.id = a.brand_id
        order by abs(a.score) desc, b.slug limit (select most from parameters)) entry), '[]') as brand_preferences,
    coalesce((
      select jsonb_agg(entry order by entry.score desc, entry.slug) from (
        select s.tag as slug, initcap(replace(s.tag, '-', ' ')) as name,
          round((sum(s.weight * s.lean) / (sum(s.weight) + max(d.prior)))::numeric, 6) as score
        from (select unnest(tags) as tag, weight, lean from signals) s cross join parameters d group by s.tag
        order by abs(round((sum(s.weight * s.lean) / (sum(s.weight) + max(d.prior)))::numeric, 6)) desc, s.tag
        limit (select most from parameters)) entry), '[]') as style_preferences,
    (select low from prices where likes >= 3) as min_price_minor,
    (select high from prices where likes >= 3) as max_price_minor,
    (select currency from prices where likes >= 3) as price_currency,
    (select round(count(*) / (count(*) + 10.0), 4) from signals)::double precision as confidence
) t on true
where private.has_consent(p.id, 'personalisation')
  and exists (select from public.swipes s where s.user_id = p.id and not s.is_for_somebody_else);
comment on view public.user_preferences is
  'A row per person who swiped and allows personalisation, computed from product_signals and swipes.';
comment on column public.user_preferences.category_preferences is
  'Strongest first: [{"slug", "name", "score"}], score -1..1.';
comment on column public.user_preferences.updated_at is 'When the person last swiped or undid a swipe.';

revoke all on table public.user_preferences from public, anon, authenticated, service_role;
grant select on table public.user_preferences to anon, authenticated, service_role;
