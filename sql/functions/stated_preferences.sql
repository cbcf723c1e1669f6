-- What people said of themselves (profiles.preferences): docs/recommendations.md. The API checks its shape; what was stored
-- before, or by SQL, may have another one, and then has no effect.

create or replace function private.stated_texts(p_preferences jsonb, p_member text) returns text[]
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select array(
    select s.value #>> '{}' from pg_catalog.jsonb_array_elements(
      case when pg_catalog.jsonb_typeof(p_preferences -> p_member) = 'array' then p_preferences -> p_member else '[]' end)
      with ordinality s (value, place)
    where pg_catalog.jsonb_typeof(s.value) = 'string' and s.place <= 50)
$$;
comment on function private.stated_texts(jsonb, text) is 'The texts of a list, of at most 50.';

create or replace function private.avoided_categories(p_user uuid) returns uuid[]
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select array(
    select distinct c.id
    from public.profiles p
    cross join lateral unnest(private.stated_texts(p.preferences, 'avoidCategories')) slug
    cross join lateral private.category_tree(slug) c (id)
    where p.id = p_user)
$$;
comment on function private.avoided_categories(uuid) is 'The categories that a person avoids, with all below them.';

create or replace function private.stated_affinities(p_user uuid)
returns table (kind text, key text, score real)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  with stated as materialized (
    select p.preferences as said, private.avoided_categories(p_user) as avoided,
      (coalesce(
        (select m.parameters -> 'stated' from public.recommendation_models m order by m.version desc limit 1),
        private.default_model_parameters() -> 'stated') ->> 'favourite')::real as favourite
    from public.profiles p where p.id = p_user
  )
  select 'category', c.id::text, -1::real from stated s cross join lateral unnest(s.avoided) c (id)
  union all
  select distinct 'category', c.id::text, s.favourite
  from stated s
  cross join lateral unnest(private.stated_texts(s.said, 'favouriteCategories')) slug
  cross join lateral private.category_tree(slug) c (id)
  where c.id <> all (s.avoided)
  union all
  select 'brand', b.id::text, s.favourite
  from stated s join public.brands b on b.slug = any (private.stated_texts(s.said, 'brands'))
  union all
  select distinct 'tag', tag, s.favourite from stated s cross join lateral unnest(private.stated_texts(s.said, 'tags')) tag
$$;
comment on function private.stated_affinities(uuid) is
  'What a person said to like or avoid, -1..1. key: the id of a category (also below a stated one) or brand, or a tag.';

create or replace function private.stated_currency(p_user uuid, p_default text) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(p.preferences ->> 'currency', p_default) from public.profiles p
  where p.id = p_user and pg_catalog.jsonb_typeof(p.preferences -> 'priceRange') = 'object'
$$;
comment on function private.stated_currency(uuid, text) is 'The currency of a person''s price range; null without one.';

create or replace function private.stated_prices(p_user uuid, p_default text) returns int8range
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select case when b.low is null or b.high is null or b.low <= b.high then int8range(b.low, b.high, '[]') end
  from public.profiles p
  join public.currencies c on c.code = private.stated_currency(p_user, p_default)
  cross join lateral (
    select pg_catalog.ceil(m.low * 10 ^ c.exponent::numeric)::bigint as low,
      pg_catalog.floor(m.high * 10 ^ c.exponent::numeric)::bigint as high
    from (
      select case when l.low ~ '^[0-9]{1,13}(\.[0-9]{1,10})?$' then l.low::numeric end as low,
        case when l.high ~ '^[0-9]{1,13}(\.[0-9]{1,10})?$' then l.high::numeric end as high
      from (select p.preferences -> 'priceRange' ->> 'min' as low, p.preferences -> 'priceRange' ->> 'max' as high) l
    ) m
  ) b
  where p.id = p_user
$$;
comment on function private.stated_prices(uuid, text) is
  'The price range that a person stated, in minor units of that currency, without a limit where none was given.';

revoke all on function private.stated_texts(jsonb, text), private.avoided_categories(uuid),
  private.stated_affinities(uuid), private.stated_currency(uuid, text), private.stated_prices(uuid, text) from public;
grant execute on function private.stated_texts(jsonb, text), private.avoided_categories(uuid),
  private.stated_affinities(uuid), private.stated_currency(uuid, text), private.stated_prices(uuid, text)
  to anon, authenticated, service_role;
