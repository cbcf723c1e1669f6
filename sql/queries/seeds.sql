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

-- name: add_sessions(seed)
-- A session of each person, of a token that nobody knows, so that everybody comes from a household of their own: what many
-- people of one network say counts as what a few say (private.trusted_signals).
insert into public.user_sessions (user_id, id, refresh_token_hash, expires_at, networks, created_at, last_used_at)
select p.id, (left(p.id::text, 24) || left(md5('session' || p.id), 12))::uuid,
  sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), now() + interval '30 days',
  array[sha256(uuid_send(p.id)), sha256(convert_to(format('site %s %s', :seed::bigint, p.place / 2), 'UTF8')),
    sha256(convert_to(format('range %s %s', :seed::bigint, p.place / 8), 'UTF8'))], p.created_at, p.created_at
from (
  select p.id, p.created_at, row_number() over (order by p.id) - 1 as place
  from public.profiles p join seeded_people s on s.id = p.id) p

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

-- name: refresh_model()
select private.refresh_model()

-- name: database_size()
select pg_size_pretty(pg_database_size(current_database()))
