-- Features of products, signals of people, affinities that follow. Formulas: docs/recommendations.md.

create or replace function private.product_traits(
  p_category uuid, p_tags text[], p_price_minor bigint default null, p_currency text default null) returns real[]
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select private.trait_features(
    pg_catalog.to_jsonb(p_tags), private.category_alignments(p_category, p_price_minor, p_currency))::real[]
$$;

-- The expected strength of a swipe: the mean of its signals, weighted by trust, and of 20 imagined ones at the feed's own
-- figure (or .5).
create or replace function private.product_popularity(p_product uuid, p_prior real) returns real
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select ((20 * coalesce(p_prior, 0.5) + coalesce(sum(s.weight * s.preference_strength), 0))
    / (20 + coalesce(sum(s.weight), 0)))::real
  from private.trusted_signals s where s.product_id = p_product
$$;

create or replace function private.default_model_parameters() returns jsonb
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select '{
    "discover": {"personality": 0.9, "personality_events": 5, "popularity": 0.1, "dislike": 0.25,
      "category": 0.5, "brand": 0.2, "tags": 0.3, "boost": 0.2},
    "gift_finder": {"personality": 0.45, "context": 0.40, "popularity": 0.15},
    "similar": {"similarity": 0.60, "together": 0.30, "popularity": 0.10},
    "half_life_days": 90,
    "prior_weight": 2,
    "match_scale": 1,
    "behaviour": {"minimum_signals": 20, "quiz_variance": 100, "prior_variance": 625, "swipe_variance": 1600,
      "method_variance": 225, "threshold": 5},
    "lists": {"length": 200, "new_days": 30},
    "feedback": {
      "kinds": {"helpful": 0.65, "not_helpful": 0.35, "not_interested": 0.1, "already_owned": 0.6, "purchased": 0.95},
      "reasons": {"not_my_style": 0.1, "too_expensive": null, "already_have_similar": null, "bad_quality": null,
        "wrong_person": null, "other": 0.1},
      "ratings": [0.1, 0.3, 0.5, 0.7, 0.9]
    },
    "stated": {"favourite": 0.5}
  }'::jsonb
$$;

drop function if exists private.candidates(integer, text[]);
drop function if exists private.candidate_lists(uuid, uuid, text[]);
drop function if exists private.choose_candidates(integer);
create or replace function private.facet(p_kind text, p_key text) returns bigint
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select pg_catalog.hashtextextended(p_kind || ':' || p_key, 0)
$$;
comment on function private.facet(text, text) is
  'A number for a category, brand or tag (by id, id and name), or for a list: "list" with popular or new, "+" with a trait.';

create or replace function private.product_facets(p_category uuid, p_brand uuid, p_tags text[]) returns bigint[]
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select array[private.facet('category', p_category::text), coalesce(private.facet('brand', p_brand::text), 0)]
    || array(select private.facet('tag', tag) from pg_catalog.unnest(p_tags) tag)
$$;

-- What came after the training starts as an average product. Nulls without one.
create or replace function private.average_product(p_trained integer)
returns table (first_bias double precision, few_bias double precision, many_bias double precision, like_share double precision)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select avg(first_bias), avg(few_bias), avg(many_bias), avg(like_share)
  from public.model_products where trained_version = p_trained
$$;

-- The products of a model by list. Only products that can be shown are in them.
create or replace function private.fill_lists(p_model integer) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  settings jsonb;
begin
  select m.parameters -> 'lists' into settings from public.recommendation_models m where m.version = p_model;
  update public.recommendation_models m
    set product_count = (select count(*) from public.product_features f where f.model_version = p_model)
    where m.version = p_model;
  delete from public.model_lists where model_version = p_model;
  delete from public.model_kinds where model_version = p_model;
  delete from public.model_cells where model_version = p_model;
  with shown as materialized (
    select f.number, f.facets, p.created_at, f.adventurous, f.intellectual, f.practical, f.creative, f.social,
      coalesce(f.like_share / nullif(max(f.like_share) over (), 0), f.popularity) as liked
    from public.product_features f
    join public.products p on p.id = f.product_id
    where f.model_version = p_model and p.is_active and p.in_stock
  ),
  grouped as (
    select array[k.adventurous, k.intellectual, k.practical, k.creative, k.social] as traits,
      (array_agg(k.number order by k.liked desc, k.number))[1:20] as numbers,
      (array_agg(k.liked order by k.liked desc, k.number))[1:20] as likes
    from shown k
    group by 1
  ),
  -- Thirds by one trait after the other: at most 243 cells, whatever the traits are.
  placed as materialized (
    select *, row_number() over (order by cell, traits)::integer as kind
    from (select *, 3 * cell4 + ntile(3) over (partition by cell4 order by traits[5], traits) - 1 as cell
    from (select *, 3 * cell3 + ntile(3) over (partition by cell3 order by traits[4], traits) - 1 as cell4
    from (select *, 3 * cell2 + ntile(3) over (partition by cell2 order by traits[3], traits) - 1 as cell3
    from (select *, 3 * cell1 + ntile(3) over (partition by cell1 order by traits[2], traits) - 1 as cell2
    from (select *, ntile(3) over (order by traits[1], traits) - 1 as cell1 from grouped) a) b) c) d) e
  ),
  kinds as (
    insert into public.model_kinds (
      model_version, kind, adventurous, intellectual, practical, creative, social, numbers, likes)
    select p_model, kind, traits[1], traits[2], traits[3], traits[4], traits[5], numbers, likes
    from placed
  ),
  cells as (
    insert into public.model_cells (model_version, cell, first_kind, last_kind, lowest, highest, liked)
    select p_model, cell, min(kind), max(kind),
      array[min(traits[1]), min(traits[2]), min(traits[3]), min(traits[4]), min(traits[5])],
      array[max(traits[1]), max(traits[2]), max(traits[3]), max(traits[4]), max(traits[5])], max(likes[1])
    from placed group by cell
  )
  insert into public.model_lists (model_version, list, rank, number)
  select p_model, ranked.list, ranked.place - 1, ranked.number
  from (
    select l.list, k.number, row_number() over (partition by l.list order by k.liked desc, k.number) as place
    from shown k
    cross join lateral (
      select private.facet('list', 'popular') as list
      union all select facet from unnest(k.facets) facet where facet <> 0) l
    union all
    select private.facet('list', 'new'), k.number, row_number() over (order by k.created_at desc, k.number)
    from shown k where k.created_at > now() - make_interval(days => (settings ->> 'new_days')::integer)
    union all
    select private.facet('+', t.trait), k.number,
      row_number() over (partition by t.trait order by t.value desc, k.liked desc, k.number)
    from shown k
    cross join lateral (values
      ('adventurous', k.adventurous), ('intellectual', k.intellectual), ('practical', k.practical),
      ('creative', k.creative), ('social', k.social)) t (trait, value)
  ) ranked
  where ranked.place <= (settings ->> 'length')::integer;
end
$$;

-- A new model version from the catalogue, the mappings and everybody's signals; the last three stay served.
create or replace function private.refresh_model() returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  model integer;
  trained integer := (select max(t.version) from public.trained_models t where t.withdrawn_at is null);
begin
  perform pg_catalog.pg_advisory_xact_lock(hashtext('aclue.refresh_model'));
  -- One pass over the signals, and traits once per category, price band and tags: the same results as private.product_popularity()
  -- and private.product_traits(), without a call for each of a million products.
  update public.products p set popularity = n.popularity
  from (
    select c.id, ((20 * coalesce(c.feed_popularity, 0.5) + coalesce(s.strengths, 0)) / (20 + coalesce(s.weights, 0)))::real as popularity
    from public.products c
    left join (
      select product_id, sum(weight * preference_strength) as strengths, sum(weight) as weights
      from private.trusted_signals group by product_id) s on s.product_id = c.id
  ) n
  where n.id = p.id and p.popularity is distinct from n.popularity;
  insert into public.recommendation_models (parameters, trained_version)
    values (private.default_model_parameters(), trained) returning version into model;
  delete from private.gift_prices;
  insert into private.gift_prices (taxonomy_id, currency, median_minor)
    select c.taxonomy_id, p.currency, pg_catalog.percentile_disc(0.5) within group (order by p.price_minor)
    from public.products p join public.categories c on c.id = p.category_id
    where p.is_active and c.taxonomy_id is not null
    group by 1, 2;
  with priced as materialized (
    select p.id, p.number, p.item_group_key, p.popularity, p.category_id, p.brand_id, p.tags,
      case when p.price_minor * 2 < g.median_minor then -1 when p.price_minor > 2 * g.median_minor then 1 else 0 end as band
    from public.products p
    join public.categories c on c.id = p.category_id
    left join private.gift_prices g on g.taxonomy_id = c.taxonomy_id and g.currency = p.currency
    where p.is_active or exists (select from public.product_signals s where s.product_id = p.id)  -- signals outlive products
  ),
  aligned as materialized (
    select k.category_id, k.band, private.band_alignments(k.category_id, k.band) as alignments
    from (select distinct category_id, band from priced) k
  ),
  kinds as materialized (select distinct category_id, band, tags from priced),
  traits as materialized (
    select k.category_id, k.band, k.tags, private.trait_features(pg_catalog.to_jsonb(k.tags), a.alignments)::real[] as x
    from kinds k join aligned a on a.category_id = k.category_id and a.band = k.band
  )
  insert into public.product_features (
      model_version, product_id, popularity, adventurous, intellectual, practical, creative, social,
      number, facets, group_key, first_bias, few_bias, many_bias, like_rate, like_share)
    select model, p.id, p.popularity, t.x[1], t.x[2], t.x[3], t.x[4], t.x[5],
      p.number, private.product_facets(p.category_id, p.brand_id, p.tags), coalesce(p.item_group_key, p.number),
      coalesce(k.first_bias, o.first_bias), coalesce(k.few_bias, o.few_bias), coalesce(k.many_bias, o.many_bias), k.like_rate,
      coalesce(k.like_share, o.like_share)
    from priced p
    cross join private.average_product(trained) o
    join traits t on t.category_id = p.category_id and t.band = p.band and t.tags = p.tags
    left join public.model_products k on k.trained_version = trained and k.number = p.number;
  perform private.fill_lists(model);
  -- A version that the statistics have never seen is taken for one row, and joined to accordingly.
  analyze public.product_features, public.model_lists, public.model_kinds, public.model_cells;
  delete from public.recommendation_models
    where version not in (select version from public.recommendation_models order by version desc limit 3);
  delete from public.trained_models t
    where t.version not in (select version from public.trained_models order by version desc limit 3)
      and not exists (select from public.recommendation_models m where m.trained_version = t.version);
  perform private.refresh_suggestions();
  return model;
end
$$;
comment on function private.refresh_model() is 'Returns the new version.';

-- A product written by hand joins the newest model at once; does nothing for callers who may not write products.
create or replace function private.refresh_product_features(p_product uuid) returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  update public.products p set popularity = private.product_popularity(p.id, p.feed_popularity)
  where p.id = p_product and (private.is_admin() or auth.role() = 'service_role')
    and p.popularity is distinct from private.product_popularity(p.id, p.feed_popularity);
  insert into public.product_features (
    model_version, product_id, popularity, adventurous, intellectual, practical, creative, social, number, facets, group_key,
    first_bias, few_bias, many_bias, like_share)
  select m.version, p.id, private.product_popularity(p.id, p.feed_popularity), t.x[1], t.x[2], t.x[3], t.x[4], t.x[5],
    p.number, private.product_facets(p.category_id, p.brand_id, p.tags), coalesce(p.item_group_key, p.number),
    o.first_bias, o.few_bias, o.many_bias, o.like_share
  from public.products p
  cross join lateral (select private.product_traits(p.category_id, p.tags, p.price_minor, p.currency) as x offset 0) t
  cross join (select max(version) as version from public.recommendation_models) m
  cross join private.average_product(
    (select trained_version from public.recommendation_models order by version desc limit 1)) o
  where p.id = p_product and m.version is not null and (private.is_admin() or auth.role() = 'service_role')
  on conflict (model_version, product_id) do update set
    popularity = excluded.popularity, adventurous = excluded.adventurous, intellectual = excluded.intellectual,
    practical = excluded.practical, creative = excluded.creative, social = excluded.social,
    number = excluded.number, facets = excluded.facets, group_key = excluded.group_key;
  -- In front of its lists until the next model.
  insert into public.model_lists (model_version, list, rank, number)
  select f.model_version, l.list,
    (select least(0, min(k.rank)) - 1 from public.model_lists k where k.model_version = f.model_version and k.list = l.list),
    f.number
  from public.product_features f
  cross join lateral (select private.facet('list', 'new') as list union select facet from unnest(f.facets) facet where facet <> 0) l
  where f.product_id = p_product and f.model_version = (select max(version) from public.recommendation_models)
    and (private.is_admin() or auth.role() = 'service_role')
    and not exists (
      select from public.model_lists k
      where k.model_version = f.model_version and k.list = l.list and k.number = f.number)
  on conflict do nothing
$$;

-- What a person's feedback says of each product. The strength is that of the reason or, without one, of the kind; the mean
-- of it and the rating's where both have one. Of several the newest that has a strength counts; null if none has.
create or replace function private.feedback_signals(p_user uuid, p_until timestamptz, p_strengths jsonb default null)
returns table (product_id uuid, strength real, hides boolean, at timestamptz)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  with strengths as (
    select coalesce(p_strengths,
      (select m.parameters -> 'feedback' from public.recommendation_models m order by m.version desc limit 1),
      private.default_model_parameters() -> 'feedback') as of
  )
  select f.product_id,
    (array_agg(g.strength order by f.created_at desc, f.id desc) filter (where g.strength is not null))[1],
    bool_or(f.feedback_type in ('not_interested', 'already_owned', 'purchased')),
    coalesce(max(f.created_at) filter (where g.strength is not null), max(f.created_at))
  from public.recommendation_feedback f
  cross join strengths s
  cross join lateral (
    select (case when f.reason is null then s.of -> 'kinds' ->> f.feedback_type else s.of -> 'reasons' ->> f.reason end)
        ::double precision as said,
      (s.of -> 'ratings' ->> (f.rating - 1))::double precision as rated) x
  cross join lateral (select ((coalesce(x.said, x.rated) + coalesce(x.rated, x.said)) / 2)::real as strength) g
  where f.user_id = p_user and f.created_at <= p_until and not f.is_for_somebody_else
  group by f.product_id
$$;
comment on function private.feedback_signals(uuid, timestamptz, jsonb) is
  'Per product; at: when the strength was given. hides: it is not recommended again. p_strengths: `feedback` of a model''s '
  'parameters; null: of the newest model.';

-- The newest swipe per product up to a moment that was not undone by then. Row level security of the caller applies. Swipes
-- for somebody else, in the gift finder, say nothing of this person.
drop function if exists private.weighted_signals(uuid, timestamptz, boolean, double precision);
drop function if exists private.signals(uuid, timestamptz, boolean);
create or replace function private.signals(p_user uuid, p_until timestamptz)
returns table (product_id uuid, swipe_id uuid, direction public.swipe_direction, strength real, at timestamptz)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select distinct on (s.product_id) s.product_id, s.id, s.direction, s.preference_strength, s.created_at
  from public.swipes s
  where s.user_id = p_user and s.created_at <= p_until and (s.undone_at is null or s.undone_at > p_until)
    and not s.is_for_somebody_else
  order by s.product_id, s.created_at desc, s.id desc
$$;

-- The signals with their products. lean: -1..1. weight: halves every half-life, in whole days back from p_until; from the
-- newest signal where that is infinity, so that preferences depend on the signals alone and not on when they are computed.
create or replace function private.weighted_signals(p_user uuid, p_until timestamptz, p_half_life_days double precision)
returns table (
  product_id uuid, swipe_id uuid, direction public.swipe_direction, name text,
  category_id uuid, brand_id uuid, tags text[], price_minor bigint, currency char(3),
  lean double precision, weight double precision)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select s.product_id, s.swipe_id, s.direction, p.name, p.category_id, p.brand_id, p.tags, p.price_minor, p.currency,
    round((2 * s.strength - 1)::numeric, 4)::double precision,
    power(0.5, floor(extract(epoch from
      case when p_until = 'infinity' then max(s.at) over () else p_until end - s.at) / 86400) / p_half_life_days)::double precision
  from private.signals(p_user, p_until) s
  join public.products p on p.id = s.product_id
  where s.strength is not null
$$;

-- Three statements, each of which sees what was committed while the one before it waited: for the person's lock (swipes.lock),
-- or for a merge of products. Only service_role calls it, so that its plans are kept when a connection changes roles.
create or replace function private.store_recommendations(
  p_takes_lock boolean, p_products uuid[], p_contexts text[], p_models integer[], p_arms integer[], p_propensities real[])
returns table (id uuid, has_personality boolean)
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
begin
  if p_takes_lock then
    perform pg_advisory_xact_lock(hashtextextended('preferences:' || auth.uid()::text, 0));
  end if;
  -- Positions and times come with impressions. Times are spaced, because of a key of earlier releases.
  insert into public.recommendations (product_id, recommendation_context, model_version, arm, propensity, generated_at)
  select o.product_id, i.context, i.model, i.arm, i.propensity, clock_timestamp() + min(i.n) * interval '1 microsecond'
  from unnest(p_products, p_contexts, p_models, p_arms, p_propensities)
    with ordinality i (product, context, model, arm, propensity, n)
  join public.product_offers o on o.id = i.product
  group by 1, 2, 3, 4, 5
  on conflict (user_id, product_id, recommendation_context, model_version, arm, propensity) where arm is not null do nothing;
  return query
  select r.id, exists (select from public.personality_profiles p where p.user_id = auth.uid())
  from unnest(p_products, p_contexts, p_models, p_arms, p_propensities)
    with ordinality i (product, context, model, arm, propensity, n)
  left join public.product_offers o on o.id = i.product
  left join public.recommendations r on r.user_id = auth.uid() and r.product_id = o.product_id
    and r.recommendation_context = i.context and r.model_version = i.model and r.arm = i.arm and r.propensity = i.propensity
  order by i.n;
end
$$;

revoke all on function private.feedback_signals(uuid, timestamptz, jsonb) from public;
revoke all on function private.average_product(integer), private.fill_lists(integer), private.product_traits(uuid, text[], bigint, text), private.product_popularity(uuid, real),
  private.refresh_model(), private.refresh_product_features(uuid),
  private.store_recommendations(boolean, uuid[], text[], integer[], integer[], real[]) from public, anon, authenticated;
grant execute on function private.refresh_model(), private.refresh_product_features(uuid),
  private.store_recommendations(boolean, uuid[], text[], integer[], integer[], real[]) to service_role;
grant execute on function private.refresh_product_features(uuid) to authenticated;
grant execute on function private.signals(uuid, timestamptz),
  private.weighted_signals(uuid, timestamptz, double precision), private.default_model_parameters(),
  private.facet(text, text), private.product_facets(uuid, uuid, text[]), private.feedback_signals(uuid, timestamptz, jsonb)
  to anon, authenticated, service_role;
