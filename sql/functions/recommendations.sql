-- Features of products, signals of people, affinities that follow. Formulas: docs/recommendations.md.

create or replace function private.product_traits(p_category uuid, p_tags text[]) returns real[]
language sql stable
set search_path = ''
as $$
  with recursive ancestors as (
    select id, parent_id, slug from public.categories where id = p_category
    union
    select c.id, c.parent_id, c.slug from public.categories c join ancestors a on c.id = a.parent_id
  ),
  raw as (
    select t.position,
      coalesce(m.recommendation_weight::real * (
        0.5 * case
          when exists (select from ancestors a where a.slug = any (m.recommended_categories)) then 1
          when exists (select from ancestors a where a.slug = any (m.avoided_categories)) then -1
          else 0 end
        + 0.5 * greatest(-1, least(1, (
          select coalesce(sum((m.product_tags ->> tag)::real), 0) / 1.5
          from pg_catalog.unnest(p_tags) tag where m.product_tags ? tag)))
      ), 0) as value
    from pg_catalog.unnest(array['adventurous', 'intellectual', 'practical', 'creative', 'social'])
      with ordinality t (trait, position)
    left join public.personality_gift_mappings m
      on m.personality_type = t.trait and m.algorithm_version = '1.0'
  )
  select pg_catalog.array_agg((value / greatest(1, (select sum(abs(value)) / 2 from raw)))::real order by position)
  from raw
$$;

-- The expected strength of a swipe: the mean of its signals and of 20 imagined ones at the feed's own figure (or .5).
create or replace function private.product_popularity(p_product uuid, p_prior real) returns real
language sql stable
set search_path = ''
as $$
  select ((20 * coalesce(p_prior, 0.5) + coalesce(sum(s.preference_strength), 0))
    / (20 + count(s.preference_strength)))::real
  from public.product_signals s where s.product_id = p_product
$$;

create or replace function private.default_model_parameters() returns jsonb
language sql immutable
set search_path = ''
as $$
  select '{
    "discover": {"personality": 0.45, "preference": 0.45, "popularity": 0.10},
    "gift_finder": {"personality": 0.45, "context": 0.40, "popularity": 0.15},
    "similar": {"similarity": 0.90, "popularity": 0.10},
    "half_life_days": 90,
    "prior_weight": 2
  }'::jsonb
$$;

-- A new model version from the catalogue, the mappings and everybody's signals; the last three stay served.
create or replace function private.refresh_model() returns integer
language plpgsql security definer
set search_path = ''
as $$
declare
  model integer;
begin
  perform pg_catalog.pg_advisory_xact_lock(hashtext('aclue.refresh_model'));
  update public.products p set popularity = n.popularity
  from (select id, private.product_popularity(id, feed_popularity) as popularity from public.products) n
  where n.id = p.id and p.popularity is distinct from n.popularity;
  insert into public.recommendation_models (parameters)
    values (private.default_model_parameters()) returning version into model;
  insert into public.product_features (
      model_version, product_id, popularity, adventurous, intellectual, practical, creative, social)
    select model, id, popularity, t.x[1], t.x[2], t.x[3], t.x[4], t.x[5]
    from public.products cross join lateral (select private.product_traits(category_id, tags) as x) t
    where is_active;
  delete from public.recommendation_models
    where version not in (select version from public.recommendation_models order by version desc limit 3);
  return model;
end
$$;
comment on function private.refresh_model() is 'Returns the new version.';

-- A product written by hand joins the newest model at once; does nothing for callers who may not write products.
create or replace function private.refresh_product_features(p_product uuid) returns void
language sql security definer
set search_path = ''
as $$
  update public.products p set popularity = private.product_popularity(p.id, p.feed_popularity)
  where p.id = p_product and (private.is_admin() or auth.role() = 'service_role')
    and p.popularity is distinct from private.product_popularity(p.id, p.feed_popularity);
  insert into public.product_features (
    model_version, product_id, popularity, adventurous, intellectual, practical, creative, social)
  select m.version, p.id, private.product_popularity(p.id, p.feed_popularity), t.x[1], t.x[2], t.x[3], t.x[4], t.x[5]
  from public.products p
  cross join lateral (select private.product_traits(p.category_id, p.tags) as x) t
  cross join (select max(version) as version from public.recommendation_models) m
  where p.id = p_product and m.version is not null and (private.is_admin() or auth.role() = 'service_role')
  on conflict (model_version, product_id) do update set
    popularity = excluded.popularity, adventurous = excluded.adventurous, intellectual = excluded.intellectual,
    practical = excluded.practical, creative = excluded.creative, social = excluded.social
$$;

-- What a person said of products up to a moment: the newest swipe per product that was not undone by then and, where
-- asked for, the newest feedback. Row level security of the caller applies.
create or replace function private.signals(p_user uuid, p_until timestamptz, p_with_feedback boolean)
returns table (product_id uuid, swipe_id uuid, direction public.swipe_direction, strength real, at timestamptz)
language sql stable
set search_path = ''
as $$
  (select distinct on (s.product_id) s.product_id, s.id, s.direction, s.preference_strength, s.created_at
   from public.swipes s
   where s.user_id = p_user and s.created_at <= p_until and (s.undone_at is null or s.undone_at > p_until)
   order by s.product_id, s.created_at desc, s.id desc)
  union all
  (select distinct on (f.product_id) f.product_id, null::uuid, null::public.swipe_direction,
     case f.feedback_type
       when 'helpful' then 0.65 when 'not_helpful' then 0.35 when 'not_interested' then 0.1
       when 'already_owned' then 0.6 when 'purchased' then 0.95 end::real,
     f.created_at
   from public.recommendation_feedback f
   where p_with_feedback and f.user_id = p_user and f.created_at <= p_until
   order by f.product_id, f.created_at desc, f.id desc)
$$;
comment on function private.signals(uuid, timestamptz, boolean) is 'swipe_id and direction are null for feedback.';

-- The signals that say something, with the product's features. lean: -1..1. weight: halves every half-life, in whole
-- days back from p_until; from the newest signal where that is infinity, so that preferences depend on the signals
-- alone and not on when they are computed.
create or replace function private.weighted_signals(
  p_user uuid, p_until timestamptz, p_with_feedback boolean, p_half_life_days double precision)
returns table (
  product_id uuid, swipe_id uuid, direction public.swipe_direction, name text,
  category_id uuid, brand_id uuid, tags text[], price_minor bigint, currency char(3),
  lean double precision, weight double precision)
language sql stable
set search_path = ''
as $$
  select s.product_id, s.swipe_id, s.direction, p.name, p.category_id, p.brand_id, p.tags, p.price_minor, p.currency,
    round((2 * s.strength - 1)::numeric, 4)::double precision,
    power(0.5, floor(extract(epoch from
      case when p_until = 'infinity' then max(s.at) over () else p_until end - s.at) / 86400) / p_half_life_days)::double precision
  from private.signals(p_user, p_until, p_with_feedback) s
  join public.products p on p.id = s.product_id
  where s.strength is not null
$$;

revoke all on function private.product_traits(uuid, text[]), private.product_popularity(uuid, real),
  private.refresh_model(), private.refresh_product_features(uuid) from public, anon, authenticated;
grant execute on function private.refresh_model(), private.refresh_product_features(uuid) to service_role;
grant execute on function private.refresh_product_features(uuid) to authenticated;
grant execute on function private.signals(uuid, timestamptz, boolean),
  private.weighted_signals(uuid, timestamptz, boolean, double precision), private.default_model_parameters()
  to anon, authenticated, service_role;
