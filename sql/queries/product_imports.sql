-- name: network_exists(network)
-- Whether an affiliate network is known.
select exists (select from public.affiliate_networks where code = :network);

-- name: create_staging()
-- One row per readable line; for a rejected one only its key. The tables below: which row each name is.
create temporary table product_import (
  number bigint not null,
  line bigint not null,
  rejected boolean not null,
  duplicate_of bigint,
  retailer text not null,
  external_id text not null,
  name text,
  description text,
  price_minor bigint,
  currency char(3),
  image_url text,
  images text[],
  affiliate_url text,
  tags text[],
  in_stock boolean,
  regular_price_minor bigint,
  sale_price_minor bigint,
  sale_starts_at timestamptz,
  sale_ends_at timestamptz,
  shipping_minor bigint,
  item_group text,
  options jsonb,
  brand text,
  category text[],
  category_slugs text[],
  gtin text,
  feed_popularity real,
  google text,
  google_taxonomy_id uuid
);

-- name: create_staging_retailers()
create temporary table product_import_retailers (name text not null, id uuid not null);

-- name: create_staging_brands()
create temporary table product_import_brands (name text not null, id uuid not null);

-- name: create_staging_categories()
create temporary table product_import_categories (names text[] not null, slugs text[] not null, id uuid not null);

-- name: create_staging_view()
-- The rows to import, with the ids of their names, and with what an administrator set in place of what the feed says. A
-- product that an administrator unpublished is none of them.
create temporary view product_import_rows as
select s.number, s.line, s.rejected, s.duplicate_of, s.retailer, s.external_id,
  case when 'name' = any (e.edited) then e.name else s.name end as name,
  case when 'description' = any (e.edited) then e.description else s.description end as description,
  s.price_minor, s.currency,
  case when 'image' = any (e.edited) then e.image_url else s.image_url end as image_url,
  case when 'image' = any (e.edited) then e.images else s.images end as images,
  s.affiliate_url,
  case when 'tags' = any (e.edited) then e.tags else s.tags end as tags,
  s.in_stock, s.regular_price_minor, s.sale_price_minor, s.sale_starts_at, s.sale_ends_at, s.shipping_minor, s.item_group,
  s.options,
  s.brand, s.category, s.category_slugs, s.gtin, s.feed_popularity, s.google, s.google_taxonomy_id,
  r.id as retailer_id,
  case when 'brand' = any (e.edited) then e.brand_id else b.id end as brand_id,
  case when 'category' = any (e.edited) then e.category_id else c.id end as category_id
from pg_temp.product_import s
join pg_temp.product_import_retailers r on r.name = s.retailer
join pg_temp.product_import_categories c
  on c.names = coalesce(s.category, '{}') and c.slugs = coalesce(s.category_slugs, '{}')
left join pg_temp.product_import_brands b on b.name = s.brand
left join public.products e on e.retailer_id = r.id and e.external_id = s.external_id and e.edited <> '{}'
where not s.rejected and s.duplicate_of is null and not (coalesce('unpublished' = any (e.edited), false));

-- name: create_staging_changes()
-- Listings that the feed changes: what it asks, what it says of the product, or both.
create temporary table product_import_changes (
  number bigint not null, id uuid not null, asks boolean not null, says boolean not null, was_active boolean not null);

-- name: create_staging_new()
-- Listings that the feed adds.
create temporary table product_import_new (number bigint not null);

-- name: drop_staging()
-- The view is dropped with its tables.
drop table if exists pg_temp.product_import, pg_temp.product_import_changes, pg_temp.product_import_new,
  pg_temp.product_import_retailers, pg_temp.product_import_brands, pg_temp.product_import_categories cascade;

-- name: index_staging()
-- By it products are written in batches.
create index on pg_temp.product_import (number);

-- name: analyze_staging()
-- Autovacuum does not analyse temporary tables. Only what is joined, grouped or filtered by; texts would take most of the
-- time.
analyze pg_temp.product_import (
  number, line, rejected, duplicate_of, retailer, external_id, currency, item_group, brand, category, category_slugs, gtin,
  google, google_taxonomy_id);

-- name: analyze_names()
analyze pg_temp.product_import_retailers, pg_temp.product_import_brands, pg_temp.product_import_categories;

-- name: mark_duplicates()
-- Of several valid lines with the same key, the first one counts.
update pg_temp.product_import s set duplicate_of = d.first_line
from (
  select s.number, first_value(s.number) over same as first_number, first_value(s.line) over same as first_line
  from pg_temp.product_import s join pg_temp.product_import_retailers r on r.name = s.retailer where not s.rejected
  window same as (partition by r.id, s.external_id order by s.line, s.number)
) d
where d.number = s.number and d.number <> d.first_number;

-- name: duplicates()
-- The lines that repeat an earlier one.
select line, duplicate_of, external_id from pg_temp.product_import where duplicate_of is not null order by line;

-- name: lock()
-- Serialises imports: two of the same feed would not see, and so repeat, each other's inserts. It is also the lock of
-- private.refresh_model(), which ends an import; taken first, so that the two cannot deadlock over rows.
select pg_advisory_xact_lock(hashtext('aclue.refresh_model'));

-- name: retailer_names()
-- As the feed spells them, those of valid lines first; is_wanted: a valid line has it.
select retailer as name, not bool_and(rejected) as is_wanted
from pg_temp.product_import group by 1 order by min(line) filter (where not rejected), min(line);

-- name: brand_names()
-- As the feed spells them.
select brand as name from pg_temp.product_import where brand is not null group by 1 order by min(line);

-- name: category_paths()
-- Names from root to leaf; and slugs, if a gift category chose them.
select coalesce(category, '{}') as names, coalesce(category_slugs, '{}') as slugs
from pg_temp.product_import where not rejected group by 1, 2 order by min(line);

-- name: known_retailers()
-- By their present names, then by earlier ones.
select id, slug, name from (
  select id, slug, name, false as is_earlier from public.retailers
  union all
  select r.id, r.slug, e.name, true from private.earlier_names e
  join public.retailers r on r.id = e.target_id where e.kind = 'retailer'
) n order by is_earlier, id;

-- name: known_brands()
-- By their present names, then by earlier ones.
select id, slug, name from (
  select id, slug, name, false as is_earlier from public.brands
  union all
  select b.id, b.slug, e.name, true from private.earlier_names e
  join public.brands b on b.id = e.target_id where e.kind = 'brand'
) n order by is_earlier, id;

-- name: known_categories()
-- Where they stand, then where they stood or what they were called.
select id, slug, name, parent_id from (
  select id, slug, name, parent_id, false as is_earlier from public.categories
  union all
  select c.id, c.slug, e.name, e.parent_id, true from private.earlier_names e
  join public.categories c on c.id = e.target_id where e.kind = 'category'
) n order by is_earlier, id;

-- name: add_retailers(slugs, names, network, domain)
-- New shops that the feed names.
insert into public.retailers (slug, name, affiliate_network, domain)
select slug, name, :network::text, :domain::text from unnest(:slugs::text[], :names::text[]) n (slug, name)
returning id, slug;

-- name: add_brands(slugs, names)
-- New brands, spelled as on their first line.
insert into public.brands (slug, name)
select slug, name from unnest(:slugs::text[], :names::text[]) n (slug, name)
returning id, slug;

-- name: add_categories(parents, slugs, names)
-- New categories of one level.
insert into public.categories (parent_id, slug, name)
select parent_id, slug, name from unnest(:parents::uuid[], :slugs::text[], :names::text[]) n (parent_id, slug, name)
returning id, slug;

-- name: change_networks(network)
-- The shops of the feed that were of another network.
update public.retailers r set affiliate_network = :network::text
from (
  select id, affiliate_network from public.retailers
  where id in (select id from pg_temp.product_import_retailers) and affiliate_network is distinct from :network::text
) old
where r.id = old.id
returning r.slug, coalesce(old.affiliate_network, 'none') as old, r.affiliate_network as new;

-- name: change_commission_rates(rate)
-- The shops of the feed that had another rate; one that an administrator set stays. is_new: the import has added the shop.
with wanted as (select round(:rate::float8::numeric, 4) as rate),
differing as materialized (
  select r.id, r.slug, r.commission_rate, r.is_rate_edited, r.created_at = now() as is_new, w.rate
  from public.retailers r cross join wanted w
  where r.id in (select id from pg_temp.product_import_retailers) and r.commission_rate is distinct from w.rate
  for update of r
),
changed as (
  update public.retailers r set commission_rate = d.rate from differing d where r.id = d.id and not d.is_rate_edited
)
select slug, trim_scale(commission_rate)::text as old, trim_scale(rate)::text as new, is_rate_edited as is_kept
from differing where not is_new order by slug;

-- name: change_shop_links(slug, domain, tracking_hosts, click_parameter, click_window_hours)
-- What the mapping says of its shop's links; null leaves a column as it is. One row if anything changed.
update public.retailers r
set domain = coalesce(:domain::text, r.domain), tracking_hosts = coalesce(:tracking_hosts::text[], r.tracking_hosts),
  click_parameter = coalesce(:click_parameter::text, r.click_parameter),
  click_window_hours = coalesce(:click_window_hours::integer, r.click_window_hours)
from (select * from public.retailers where slug = :slug) old
where r.id = old.id and (r.domain, r.tracking_hosts, r.click_parameter, r.click_window_hours) is distinct from (
  coalesce(:domain::text, r.domain), coalesce(:tracking_hosts::text[], r.tracking_hosts),
  coalesce(:click_parameter::text, r.click_parameter), coalesce(:click_window_hours::integer, r.click_window_hours))
returning old.domain as old_domain, r.domain as new_domain, old.tracking_hosts as old_tracking_hosts,
  r.tracking_hosts as new_tracking_hosts, old.click_parameter as old_click_parameter,
  r.click_parameter as new_click_parameter, old.click_window_hours as old_click_window_hours,
  r.click_window_hours as new_click_window_hours;

-- name: placement_rules(slug)
select private.network_rules(affiliate_network)::text from public.retailers where slug = :slug;

-- name: retire_placements(slug, names, tracking_ids)
-- Sales of earlier links still resolve to them.
update public.placements p set is_current = false
from unnest(:names::text[], :tracking_ids::text[]) n (name, tracking_id), public.retailers r
where r.slug = :slug and p.retailer_id = r.id and p.network = r.affiliate_network and p.name = n.name
  and p.tracking_id <> n.tracking_id and p.is_current;

-- name: put_placements(slug, names, tracking_ids)
-- Of one shop; only those that differ.
insert into public.placements as p (retailer_id, network, tracking_id, name)
select r.id, r.affiliate_network, n.tracking_id, n.name
from unnest(:names::text[], :tracking_ids::text[]) n (name, tracking_id)
join public.retailers r on r.slug = :slug
on conflict on constraint placements_pkey do update set name = excluded.name, is_current = true
where (p.name, p.is_current) is distinct from (excluded.name, true);

-- name: shops_of_links()
-- The shops of the feed, and what is known of their links.
select r.id, r.slug, r.domain, r.tracking_hosts, r.click_parameter, r.affiliate_network as network,
  coalesce(n.tracking_hosts, '{}') as network_hosts, private.network_rules(r.affiliate_network)::text as rules,
  exists (select from public.network_link_rules l where l.network = r.affiliate_network and l.carries = 'placement')
    and not exists (select from public.placements p
      where p.retailer_id = r.id and p.network = r.affiliate_network and p.is_current) as lacks_placements
from public.retailers r left join public.affiliate_networks n on n.code = r.affiliate_network
where r.id in (select id from pg_temp.product_import_retailers)
order by r.slug;

-- name: set_domain(id, domain)
with changed as (
  update public.retailers set domain = :domain::text where id = :id::uuid returning *
)
select r.domain, r.tracking_hosts, r.click_parameter, r.affiliate_network as network,
  coalesce(n.tracking_hosts, '{}') as network_hosts, private.network_rules(r.affiliate_network)::text as rules
from changed r left join public.affiliate_networks n on n.code = r.affiliate_network;

-- name: tracking_hosts()
select tracking_hosts from public.affiliate_networks;

-- name: links()
-- The links of the rows to import, in the order of the feed.
select s.number, s.line, s.external_id, n.id as retailer_id, s.affiliate_url
from pg_temp.product_import s join pg_temp.product_import_retailers n on n.name = s.retailer
where not s.rejected order by s.number;

-- name: reject_links(numbers)
-- They still name their products; nothing else of them counts.
update pg_temp.product_import set rejected = true, brand = null where number = any (:numbers::bigint[]);

-- name: unknown_gift_category(slugs)
-- One of these that is not in the taxonomy.
select slug from unnest(:slugs::text[]) slug
where not exists (select from public.gift_categories g where g.slug = slug.slug) order by 1 limit 1;

-- name: resolve_google_numbers()
-- The gift category of each number of Google's taxonomy.
update pg_temp.product_import s set google_taxonomy_id = found.taxonomy_id
from (
  select distinct on (n.google) n.google, g.id as taxonomy_id
  from (select distinct google from pg_temp.product_import where google ~ '^[0-9]+$') n
  join public.gift_categories g on n.google::integer = any (g.google_ids)
  order by n.google, g.parent_id is null, g.position
) found
where s.google = found.google;

-- name: resolve_google_paths()
-- The gift category of each path, as if it were a shop's category.
update pg_temp.product_import s set google_taxonomy_id = m.taxonomy_id
from private.match_gift_categories(array(
  select distinct google from pg_temp.product_import where google !~ '^[0-9]+$')) m
where s.google = m.path;

-- name: place_by_google()
-- A product without a category of its shop's goes where its Google category belongs.
update pg_temp.product_import s set
  category = case when p.slug is null then array[g.name] else array[p.name, g.name] end,
  category_slugs = case when p.slug is null then array[g.slug] else array[p.slug, g.slug] end
from public.gift_categories g left join public.gift_categories p on p.id = g.parent_id
where g.id = s.google_taxonomy_id and s.category is null;

-- name: map_categories(likes, slugs)
-- The categories of this feed by its mapping's [categories], then by rules.
select private.map_categories(
  array(select distinct category_id from pg_temp.product_import_rows), :likes::text[], :slugs::text[]);

-- name: map_categories_by_google()
-- Categories of which nothing else is known, or only by words that say little, such as gifts: what most of their products
-- are to Google.
with majority as (
  select distinct on (category_id) category_id, google_taxonomy_id
  from (
    select category_id, google_taxonomy_id, count(*) as products
    from pg_temp.product_import_rows where google_taxonomy_id is not null group by 1, 2
  ) counted
  order by category_id, products desc, google_taxonomy_id
),
vague as (
  select p.category_id
  from private.category_paths(array(select category_id from majority)) p
  join private.match_gift_categories(array(
    select path from private.category_paths(array(select category_id from majority)))) m on m.path = p.path
  where m.is_vague
),
loading as materialized (select set_config('aclue.loads_reference', 'on', true)),
mapped as (
  update public.categories c set taxonomy_id = m.google_taxonomy_id, taxonomy_source = 'google'
  from majority m cross join loading
  where c.id = m.category_id and (c.taxonomy_id is null or c.taxonomy_source = 'google'
      or c.taxonomy_source = 'rule' and c.id in (select category_id from vague)
        and exists (select from public.gift_categories g where g.id = m.google_taxonomy_id and g.parent_id is not null))
    and c.taxonomy_id is distinct from m.google_taxonomy_id and c.slug <> 'uncategorised'
  returning c.id
)
select count(*), set_config('aclue.loads_reference', '', true) from mapped;

-- name: unmapped(size)
-- Categories without a gift category, those with the most products that can be bought first.
with recursive counted as (
  select c.id, c.parent_id, c.name::text as path, count(*) as products
  from public.categories c join public.products p on p.category_id = c.id and p.is_active
  where c.taxonomy_id is null group by c.id
),
paths (id, parent_id, path, products) as (
  select * from counted
  union all
  select p.id, c.parent_id, c.name || ' > ' || p.path, p.products
  from paths p join public.categories c on c.id = p.parent_id
)
select path, products from paths where parent_id is null order by products desc, path limit :size::int;

-- name: note_offers_seen()
-- When the feed last named them; to the day, so that a feed without changes writes little.
update public.product_offers o set last_seen_at = now()
from pg_temp.product_import_rows n
join public.products p on p.retailer_id = n.retailer_id and p.external_id = n.external_id
where o.id = p.id and o.last_seen_at < now() - interval '1 day';

-- name: feed_retailers(constant_slug)
-- The shops of the feed (the mapping's own even if no line is readable), and whether the feed has less than 70 % of
-- the offers that are active now.
select r.id, 10 * coalesce(f.products, 0) < 7 * (
  select count(*) from public.product_offers o where o.retailer_id = r.id and o.is_active) as has_shrunk
from public.retailers r
left join (
  select n.id, count(distinct s.external_id) as products
  from pg_temp.product_import s join pg_temp.product_import_retailers n on n.name = s.retailer group by 1
) f on f.id = r.id
where f.id is not null or r.slug = :constant_slug::text;

-- name: find_changes()
-- Only listings that differ; one that has returned is active again, unless an administrator deactivated its offer, or the
-- check of links did, with the link that it found to lead nowhere: these count as active here. What an administrator set
-- of an offer stands in place of what the feed says.
insert into pg_temp.product_import_changes (number, id, asks, says, was_active)
select * from (
  select n.number, p.id,
    not o.is_active and not x.is_kept_off or
    (o.price_minor, o.currency, o.affiliate_url, o.in_stock, o.shipping_minor, o.regular_price_minor, o.sale_price_minor,
      o.sale_starts_at, o.sale_ends_at)
    is distinct from
    (n.price_minor, n.currency, k.affiliate_url, n.in_stock, k.shipping_minor, n.regular_price_minor, n.sale_price_minor,
      n.sale_starts_at, n.sale_ends_at) as asks,
    (p.name, p.description, p.image_url, p.tags, p.brand_id, p.category_id, p.gtin, p.feed_popularity, p.images,
      p.item_group, p.options)
    is distinct from
    (n.name, n.description, n.image_url, n.tags, n.brand_id, n.category_id, n.gtin, n.feed_popularity, n.images,
      n.item_group, n.options) as says,
    o.is_active or x.is_kept_off as was_active
  from pg_temp.product_import_rows n
  join public.products p on p.retailer_id = n.retailer_id and p.external_id = n.external_id
  join public.product_offers o on o.id = p.id
  cross join lateral (
    select case when 'link' = any (o.edited) then o.affiliate_url else n.affiliate_url end as affiliate_url,
      case when 'shipping' = any (o.edited) then o.shipping_minor else n.shipping_minor end as shipping_minor) k
  cross join lateral (
    select not o.is_active and ('inactive' = any (o.edited) or o.link_failures = 3 and o.affiliate_url = k.affiliate_url)
      as is_kept_off) x
) compared
where asks or says;

-- name: count_changes()
select count(*) filter (where was_active) as updated, count(*) filter (where not was_active) as reactivated
from pg_temp.product_import_changes;

-- name: update_offers()
-- Products follow by triggers. Administrators change no offer meanwhile: product_offers.lock.
update public.product_offers o
set price_minor = n.price_minor, currency = n.currency, in_stock = n.in_stock, regular_price_minor = n.regular_price_minor,
  sale_price_minor = n.sale_price_minor, sale_starts_at = n.sale_starts_at, sale_ends_at = n.sale_ends_at,
  affiliate_url = case when 'link' = any (o.edited) then o.affiliate_url else n.affiliate_url end,
  shipping_minor = case when 'shipping' = any (o.edited) then o.shipping_minor else n.shipping_minor end,
  is_active = o.is_active or not 'inactive' = any (o.edited)
    and (o.link_failures < 3 or o.affiliate_url <> n.affiliate_url and not 'link' = any (o.edited)),
  link_failures = case when o.affiliate_url = n.affiliate_url or 'link' = any (o.edited) then o.link_failures else 0 end,
  link_checked_at = case when o.affiliate_url = n.affiliate_url or 'link' = any (o.edited) then o.link_checked_at end,
  last_seen_at = clock_timestamp()
from pg_temp.product_import_changes c join pg_temp.product_import n on n.number = c.number
where o.id = c.id and c.asks;

-- name: changed_batches(size)
-- Products whose columns change, as ranges of numbers.
select min(number) as first_number, max(number) as last_number
from (
  select number, (row_number() over (order by number) - 1) / :size::integer as batch
  from pg_temp.product_import_changes where says
) numbered
group by batch order by batch;

-- name: update_products(first_number, last_number)
update public.products p
set name = n.name, description = n.description, image_url = n.image_url, tags = n.tags, brand_id = n.brand_id,
  category_id = n.category_id, gtin = n.gtin, feed_popularity = n.feed_popularity, images = n.images,
  item_group = n.item_group, options = n.options
from pg_temp.product_import_changes c join pg_temp.product_import_rows n on n.number = c.number
where p.id = c.id and c.says and n.number between :first_number and :last_number;

-- name: find_new()
insert into pg_temp.product_import_new (number)
select n.number from pg_temp.product_import_rows n
where not exists (
  select from public.products p where p.retailer_id = n.retailer_id and p.external_id = n.external_id);

-- name: new_batches(size)
select min(number) as first_number, max(number) as last_number
from (
  select number, (row_number() over (order by number) - 1) / :size::integer as batch from pg_temp.product_import_new
) numbered
group by batch order by batch;

-- name: insert_products(first_number, last_number)
-- Their offers come by a trigger. With the popularity that private.product_popularity() gives a product nobody has swiped, so
-- that refresh_model need not write them again; inline, as calls of it took as long as the rest of the statement.
insert into public.products (name, description, price_minor, currency, image_url, affiliate_url, tags, in_stock, brand_id,
  category_id, retailer_id, external_id, gtin, feed_popularity, popularity, images, regular_price_minor,
  sale_price_minor, sale_starts_at, sale_ends_at, shipping_minor, item_group, options)
select n.name, n.description, n.price_minor, n.currency, n.image_url, n.affiliate_url, n.tags, n.in_stock, n.brand_id,
  n.category_id, n.retailer_id, n.external_id, n.gtin, n.feed_popularity,
  coalesce(n.feed_popularity, 0.5), n.images, n.regular_price_minor, n.sale_price_minor,
  n.sale_starts_at, n.sale_ends_at, n.shipping_minor, n.item_group, n.options
from pg_temp.product_import_rows n
where n.number between :first_number and :last_number and n.number in (select w.number from pg_temp.product_import_new w)
on conflict on constraint products_retailer_id_external_id_key do nothing;

-- name: deactivate_offers(retailers)
-- Listings that the feeds of these shops no longer name. A rejected line still names its product.
update public.product_offers o set is_active = false
from public.products p
where p.id = o.id and o.retailer_id = any (:retailers::uuid[]) and o.is_active
  and not exists (
    select from pg_temp.product_import s join pg_temp.product_import_retailers n on n.name = s.retailer
    where n.id = p.retailer_id and s.external_id = p.external_id);

-- name: forget_link_failures(retailers)
-- Of listings that the feeds of these shops no longer name: a link that works again brings none of them back.
update public.product_offers o set link_failures = 0
from public.products p
where p.id = o.id and o.retailer_id = any (:retailers::uuid[]) and not o.is_active and o.link_failures > 0
  and not exists (
    select from pg_temp.product_import s join pg_temp.product_import_retailers n on n.name = s.retailer
    where n.id = p.retailer_id and s.external_id = p.external_id);

-- name: avoid_loops()
-- For note_origins: nothing is known of rows that were just written, and a nested loop over them would take hours.
select set_config('enable_nestloop', 'off', true);

-- name: allow_loops()
select set_config(name, reset_val, true) from pg_catalog.pg_settings where name = 'enable_nestloop';

-- name: note_origins(run)
-- Which line of which import set the products that changed.
insert into public.product_origins (product_id, run_id, line)
select p.id, :run::uuid, n.line
from public.products p
left join pg_temp.product_import_rows n on n.retailer_id = p.retailer_id and n.external_id = p.external_id
where exists (
  select from private.import_changes c
  where c.run_id = :run::uuid and c.table_name in ('public.products', 'public.product_offers')
    and c.row_key = jsonb_build_object('id', p.id))
on conflict on constraint product_origins_pkey do update set run_id = excluded.run_id, line = excluded.line;

-- name: split_products()
-- What was merged, and is no longer the same since this import.
select private.split_unequal_gtins(array(select id from pg_temp.product_import_changes where says));

-- name: merge_products()
-- What other shops sell under the numbers of this feed.
select private.merge_equal_gtins(array(
  select distinct lpad(n.gtin, 14, '0') from pg_temp.product_import n
  where n.gtin is not null and not n.rejected and n.duplicate_of is null));

-- name: analyze_products()
-- A large import changes the planner's statistics. Autovacuum never analyses tables of fewer than fifty rows.
analyze public.brands, public.categories, public.retailers, public.products, public.product_offers, public.product_prices, private.search_words, private.search_variants;

-- name: refresh_model()
-- Features of the products for the feeds.
select private.refresh_model();

-- name: audit(file, counts)
-- One entry for the whole import, by the owner of the database.
insert into public.audit_log (operation, table_name, changes)
values ('import', 'public.products', jsonb_build_object('file', :file::text) || :counts::jsonb);

-- name: google_paths()
-- The names of each number of Google's taxonomy; null for one that only gift categories know.
select id, path from private.google_taxonomy
union all
select distinct n.id, null::text[] from public.gift_categories g cross join lateral unnest(g.google_ids) n (id)
where not exists (select from private.google_taxonomy t where t.id = n.id);

-- name: clear_google_taxonomy()
delete from private.google_taxonomy;

-- name: add_google_taxonomy(ids, paths)
-- The paths with > between their levels.
insert into private.google_taxonomy (id, path)
select n.id, string_to_array(n.path, '>') from unnest(:ids::int[], :paths::text[]) n (id, path);
