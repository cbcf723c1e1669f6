-- What follows from swipes: docs/recommendations.md.

-- Runs with the owner's rights, and for the caller only: people cannot write preferences except by swiping. Plans include
-- row level security, so this is also planned once per connection, not once per role. Volatile: each of its statements
-- sees what the calling statement has written and what others have committed by then, whatever that statement's snapshot.
create or replace function private.update_preferences(p_products uuid[]) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
declare
  parameters constant jsonb := private.default_model_parameters();
  half_life constant double precision := parameters ->> 'half_life_days';
  prior constant double precision := parameters ->> 'prior_weight';
  most constant integer := 50;  -- of each kind, those that say most either way; the row is rewritten by every swipe
begin
  if auth.uid() is null then
    raise insufficient_privilege using message = 'preferences are of a person';
  end if;
  perform private.sync_signals(p_products);
  if not private.has_consent(auth.uid(), 'personalisation') then
    return;
  end if;
  with signals as materialized (
    select p.category_id, p.brand_id, p.tags, p.price_minor, p.currency, l.lean,
      power(0.5, floor(date_part('epoch', max(g.swiped_at) over () - g.swiped_at) / 86400) / half_life)
        ::double precision as weight
    from public.product_signals g
    join public.products p on p.id = g.product_id
    cross join lateral (select round((2 * g.preference_strength - 1) * 1e4::float8) / 1e4::float8 as lean) l
    where g.user_id = auth.uid() and g.preference_strength is not null
  ),
  categories as (
    select s.category_id, round((sum(s.weight * s.lean) / (sum(s.weight) + prior))::numeric, 6) as score
    from signals s group by s.category_id
  ),
  brands as (
    select s.brand_id, round((sum(s.weight * s.lean) / (sum(s.weight) + prior))::numeric, 6) as score
    from signals s group by s.brand_id
  ),
  tags as (
    select s.tag, round((sum(s.weight * s.lean) / (sum(s.weight) + prior))::numeric, 6) as score
    from (select unnest(tags) as tag, weight, lean from signals) s group by s.tag
  )
  insert into public.user_preferences (
    user_id, category_preferences, brand_preferences, style_preferences, min_price_minor, max_price_minor,
    price_currency, total_swipes, right_swipes, confidence)
  select
    auth.uid(),
    coalesce((select jsonb_agg(entry order by entry.score desc, entry.slug) from (
      select c.slug, c.name, a.score from categories a join public.categories c on c.id = a.category_id
      order by abs(a.score) desc, c.slug limit most) entry), '[]'),
    coalesce((select jsonb_agg(entry order by entry.score desc, entry.slug) from (
      select b.slug, b.name, a.score from brands a join public.brands b on b.id = a.brand_id
      order by abs(a.score) desc, b.slug limit most) entry), '[]'),
    coalesce((select jsonb_agg(entry order by entry.score desc, entry.slug) from (
      select tag as slug, initcap(replace(tag, '-', ' ')) as name, score from tags
      order by abs(score) desc, tag limit most) entry), '[]'),
    prices.low, prices.high, prices.currency, counts.total, counts.rights,
    round((select count(*) / (count(*) + 10.0) from signals), 4)::double precision
  from (
    select count(*)::int as total, (count(*) filter (where s.direction in ('right', 'up')))::int as rights
    from public.swipes s where s.user_id = auth.uid() and s.undone_at is null
  ) counts
  left join lateral (
    select s.currency, percentile_disc(0.1) within group (order by s.price_minor) as low,
      percentile_disc(0.9) within group (order by s.price_minor) as high, count(*) as likes
    from signals s where s.lean > 0
    group by s.currency order by likes desc, s.currency limit 1
  ) prices on prices.likes >= 3
  on conflict (user_id) do update set
    category_preferences = excluded.category_preferences, brand_preferences = excluded.brand_preferences,
    style_preferences = excluded.style_preferences, min_price_minor = excluded.min_price_minor,
    max_price_minor = excluded.max_price_minor, price_currency = excluded.price_currency,
    total_swipes = excluded.total_swipes, right_swipes = excluded.right_swipes, confidence = excluded.confidence;
end
$$;
comment on function private.update_preferences(uuid[]) is
  'Updates the caller''s signals of these products (null: all) from the swipes and, unless personalisation is withdrawn, '
  'the preferences from the signals. The caller holds the person''s lock.';
-- Its predecessor returned the preferences for the caller to store.
drop function if exists private.follow_swipes(uuid[]);

revoke all on function private.update_preferences(uuid[]) from public, anon, authenticated;
grant execute on function private.update_preferences(uuid[]) to anon, authenticated, service_role;
