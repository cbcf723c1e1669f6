-- Generated data, as the owner. Times and ids are derived from the swipes, so that the same seed gives the same rows.

-- name: is_there(seed)
-- Whether this seed was loaded before.
select exists (select from private.applied_files where name = 'seed ' || :seed::bigint)

-- name: mark(seed)
insert into private.applied_files (name, checksum) values ('seed ' || :seed::bigint, '')

-- name: ids_by_slug()
-- The names of the catalogue in this database: kind, slug, id.
select 'category' as kind, slug, id from public.categories
union all select 'brand', slug, id from public.brands
union all select 'retailer', slug, id from public.retailers

-- name: create_people()
-- The people of this seed, for the statements below.
create temporary table seeded_people (id uuid primary key) on commit drop

-- name: add_log_ins()
-- Log-ins of the accounts, if the auth schema is ours; without a password, so nobody can sign in.
insert into auth.users (id, email, raw_user_meta_data, created_at, updated_at)
select p.id, p.email, jsonb_build_object('display_name', p.display_name), p.created_at, p.created_at
from public.profiles p join seeded_people s on s.id = p.id where not p.is_anonymous

-- name: pause_log_in_triggers()
-- The profiles exist already.
alter table auth.users disable trigger aclue_profile_written

-- name: resume_log_in_triggers()
alter table auth.users enable trigger aclue_profile_written

-- name: add_signals()
-- As private.sync_signals() does for one person.
insert into public.product_signals (user_id, product_id, swipe_id, direction, preference_strength, swiped_at)
select distinct on (s.user_id, s.product_id)
  s.user_id, s.product_id, s.id, s.direction, s.preference_strength, s.created_at
from public.swipes s
where s.undone_at is null and s.user_id in (select id from seeded_people)
order by s.user_id, s.product_id, s.created_at desc, s.id desc

-- name: add_views(since)
-- Products were viewed shortly before they were liked. The id has the swipe's time; only its last 48 bits differ.
insert into public.product_views (user_id, id, product_id, source_page, view_duration_seconds, view_timestamp)
select s.user_id, (left(s.id::text, 24) || left(md5('view' || s.id), 12))::uuid, s.product_id, '/discover',
  4 + abs(hashtext(s.id::text)) % 90, s.created_at
from public.swipes s
where s.direction in ('right', 'up') and s.created_at >= :since::timestamptz
  and s.user_id in (select id from seeded_people)

-- name: add_clicks()
-- One in sixteen super-likes led to a click; see private.create_affiliate_click().
insert into public.affiliate_clicks (
  user_id, id, product_id, retailer_id, source_page, affiliate_network, click_parameter, affiliate_url, price_minor,
  currency, commission_rate, expected_commission_minor, click_timestamp)
select s.user_id, (left(s.id::text, 24) || left(md5('click' || s.id), 12))::uuid, p.id, r.id, '/product',
  r.affiliate_network, n.click_parameter, p.affiliate_url, p.price_minor, p.currency, r.commission_rate,
  round(p.price_minor * r.commission_rate)::bigint, s.created_at
from public.swipes s
join public.products p on p.id = s.product_id
join public.retailers r on r.id = p.retailer_id
left join public.affiliate_networks n on n.code = r.affiliate_network
where s.direction = 'up' and left(md5(s.id::text), 1) = '0' and s.user_id in (select id from seeded_people)

-- name: create_keys()
-- Everything that a preference can be about: each category, brand and tag, numbered by kind and slug, with the beginning
-- of its JSON and its products. Built once, because building millions of small JSON objects takes most of the time.
create temporary table seeded_keys on commit drop as
select (row_number() over (order by kind, slug))::int as key, kind, id, slug,
  '{"slug": ' || to_json(slug) || ', "name": ' || to_json(name) || ', "score": ' as opening
from (
  select 'category' as kind, id::text as id, slug, name from public.categories
  union all select 'brand', id::text, slug, name from public.brands
  union all select distinct 'tag', tag, tag, initcap(replace(tag, '-', ' '))
  from public.products cross join lateral unnest(tags) tag
) named

-- name: create_counts()
-- The number of swipes per person, in one pass over all swipes.
create temporary table seeded_counts on commit drop as
select s.user_id, count(*)::int as total, (count(*) filter (where direction in ('right', 'up')))::int as rights,
  max(s.created_at) as at
from public.swipes s
where s.undone_at is null and s.user_id in (select id from seeded_people)
group by s.user_id

-- name: create_product_keys()
create temporary table seeded_product_keys on commit drop as
select p.id as product_id, k.key
from public.products p
cross join lateral (
  select 'category' as kind, p.category_id::text as id
  union all select 'brand', p.brand_id::text where p.brand_id is not null
  union all select 'tag', tag from unnest(p.tags) tag
) f
join seeded_keys k on k.kind = f.kind and k.id = f.id

-- name: add_preferences(first, last)
-- preferences.rebuild for many people at once, those between two ids. A test compares the results.
with parameters as (
  select (p ->> 'half_life_days')::double precision as half_life, (p ->> 'prior_weight')::double precision as prior
  from private.default_model_parameters() p
),
people as materialized (select id from seeded_people where id between :first::uuid and :last::uuid),
signals as materialized (
  select g.user_id, g.product_id, p.price_minor, p.currency,
    round((2 * g.preference_strength - 1)::numeric, 4)::double precision as lean,
    power(0.5, floor(extract(epoch from max(g.swiped_at) over (partition by g.user_id) - g.swiped_at) / 86400)
      / d.half_life)::double precision as weight
  from public.product_signals g
  join people on people.id = g.user_id
  join public.products p on p.id = g.product_id
  cross join parameters d
  where g.preference_strength is not null
),
affinities as (
  select s.user_id, f.key, round((sum(s.weight * s.lean) / (sum(s.weight) + max(d.prior)))::numeric, 6) as score
  from signals s
  join seeded_product_keys f on f.product_id = s.product_id
  cross join parameters d
  group by s.user_id, f.key
),
lists as (
  select a.user_id,
    ('[' || string_agg(opening || score || '}', ',' order by score desc, key) filter (where kind = 'category') || ']')::jsonb as categories,
    ('[' || string_agg(opening || score || '}', ',' order by score desc, key) filter (where kind = 'brand') || ']')::jsonb as brands,
    ('[' || string_agg(opening || score || '}', ',' order by score desc, key) filter (where kind = 'tag') || ']')::jsonb as tags
  from (
    select a.user_id, a.key, a.score, k.kind, k.opening,
      row_number() over (partition by a.user_id, k.kind order by abs(a.score) desc, a.key) as place
    from affinities a join seeded_keys k using (key)
  ) a
  where place <= 50  -- as private.update_preferences() keeps
  group by a.user_id
),
currencies as (
  select distinct on (user_id) user_id, currency from (
    select user_id, currency, count(*) as likes from signals where lean > 0 group by user_id, currency) l
  order by user_id, likes desc, currency
),
prices as (
  select s.user_id, s.currency, percentile_disc(0.1) within group (order by s.price_minor) as low,
    percentile_disc(0.9) within group (order by s.price_minor) as high
  from signals s join currencies c on c.user_id = s.user_id and c.currency = s.currency
  where s.lean > 0
  group by s.user_id, s.currency having count(*) >= 3
),
evidence as (select user_id, count(*) as n from signals group by user_id)
insert into public.user_preferences (
  user_id, id, category_preferences, brand_preferences, style_preferences, min_price_minor, max_price_minor,
  price_currency, total_swipes, right_swipes, confidence, created_at, updated_at)
select n.user_id, (left(n.user_id::text, 24) || left(md5('preferences' || n.user_id), 12))::uuid,
  coalesce(l.categories, '[]'), coalesce(l.brands, '[]'), coalesce(l.tags, '[]'), p.low, p.high, p.currency, n.total,
  n.rights, coalesce(round(e.n / (e.n + 10.0), 4), 0), n.at, n.at
from people join seeded_counts n on n.user_id = people.id
left join lists l on l.user_id = n.user_id
left join prices p on p.user_id = n.user_id
left join evidence e on e.user_id = n.user_id

-- name: refresh_model()
select private.refresh_model()

-- name: database_size()
select pg_size_pretty(pg_database_size(current_database()))
