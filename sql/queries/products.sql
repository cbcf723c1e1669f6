-- Conditions on a product, alias r, which schema and resolvers combine.

-- name: is_active()
r.is_active

-- name: in_category(slug)
-- An array, here and below: the planner expects a thousand rows of a function, and would not use the index for them.
r.category_id = any (array(select private.category_tree(:slug::text)))

-- name: in_categories(slugs)
r.category_id = any (array(select private.category_tree(slug) from unnest(:slugs::text[]) slug))

-- name: not_in_categories(slugs)
r.category_id not in (select private.category_tree(slug) from unnest(:slugs::text[]) slug)

-- name: below_categories(ids)
r.category_id = any (array(select private.category_subtree(id) from unnest(:ids::uuid[]) id))

-- name: of_brand_ids(ids)
r.brand_id = any (:ids::uuid[])

-- name: of_retailers(ids)
r.seller_id = any (:ids::uuid[])

-- name: of_brands(slugs)
r.brand_id in (select id from public.brands where slug = any(:slugs::text[]))

-- name: in_currency(currency)
r.currency = :currency::text::char(3)

-- name: costs_at_least(price_minor)
r.price_minor >= :price_minor::bigint

-- name: costs_at_most(price_minor)
r.price_minor <= :price_minor::bigint

-- name: has_tags(tags)
r.tags @> :tags::text[]

-- name: has_any_tag(tags)
r.tags && :tags::text[]

-- name: in_stock(in_stock)
r.in_stock = :in_stock::boolean

-- name: first_of_group()
-- Of the variants that fit the other conditions only the first.
exists (
  select from (select r.id, r.retailer_id, r.item_group) g
  where g.item_group is null or not exists (
    select from public.products r
    where r.retailer_id = g.retailer_id and r.item_group = g.item_group and r.id < g.id and r.is_active and {others}))

-- name: variants(products, size)
-- The active variants of these products, without themselves.
select wanted.id as of_product, v.id from unnest(:products::uuid[]) wanted (id)
join public.products p on p.id = wanted.id
cross join lateral (
  -- A variant that was merged stands for its product.
  select distinct r.id
  from public.products l join public.product_offers o on o.id = l.id join public.products r on r.id = o.product_id
  where l.retailer_id = p.retailer_id and l.item_group = p.item_group and r.id <> p.id and r.is_active
  order by r.id limit :size::int
) v

-- name: matches(query)
r.search @@ :query::text::tsquery

-- name: search_query(search)
-- A search text as a tsquery, printed as text: all words, stemmed, with one typo corrected.
select private.search_query(:search::text)::text

-- name: references(category_slug, brand_slug, retailer_slug)
-- Ids of what a new product refers to; null if unknown.
select
  (select id from public.categories where slug = :category_slug::text) as category_id,
  (select id from public.brands where slug = :brand_slug::text) as brand_id,
  (select id from public.retailers where slug = :retailer_slug::text) as retailer_id

-- name: create(name, description, price_minor, currency, image_url, tags, in_stock, brand_id, category_id, retailer_id, external_id, url)
-- Null if the retailer already has a product with this external id.
insert into public.products (
  name, description, price_minor, currency, image_url, tags, in_stock, brand_id, category_id, retailer_id,
  external_id, affiliate_url)
values (:name, :description, :price_minor, :currency::text, :image_url, :tags, :in_stock, :brand_id, :category_id,
  :retailer_id, :external_id, :url)
on conflict (retailer_id, external_id) do nothing
returning id

-- name: update(id, name, description, set_description, price_minor, category_id, brand_id, set_brand, tags, image_url, set_image_url, in_stock, is_active)
-- Null leaves a column unchanged; the set_ flags allow clearing a description or image. A price ends a sale, a picture
-- takes the place of all.
update public.products set
  name = coalesce(:name::text, name),
  description = case when :set_description::boolean then :description::text else description end,
  price_minor = coalesce(:price_minor::bigint, price_minor),
  regular_price_minor = case when :price_minor::bigint is null then regular_price_minor end,
  sale_price_minor = case when :price_minor::bigint is null then sale_price_minor end,
  sale_starts_at = case when :price_minor::bigint is null then sale_starts_at end,
  sale_ends_at = case when :price_minor::bigint is null then sale_ends_at end,
  category_id = coalesce(:category_id::uuid, category_id),
  brand_id = case when :set_brand::boolean then :brand_id::uuid else brand_id end,
  tags = coalesce(:tags::text[], tags),
  image_url = case when :set_image_url::boolean then :image_url::text else image_url end,
  images = case when :set_image_url::boolean then '{}' else images end,
  in_stock = coalesce(:in_stock::boolean, in_stock),
  is_active = coalesce(:is_active::boolean, is_active)
where id = (select o.product_id from public.product_offers o where o.id = :id::uuid)
returning id

-- name: note_edits(id, edited, released)
-- As service_role: what imports leave, and what they set again.
update public.products p set edited = n.edited
from (
  select id, array(
    select distinct e from unnest(edited || :edited::text[]) e where e <> all (:released::text[]) order by e) as edited
  from public.products where id = :id::uuid
) n
where p.id = n.id and p.edited <> n.edited

-- name: currency_of(id)
select p.currency from public.product_offers o join public.products p on p.id = o.product_id where o.id = :id::uuid

-- name: refresh_features(id)
-- Adds a product written by hand to the newest model.
select private.refresh_product_features(:id::uuid)

-- name: apply_sales()
-- As service_role: sales that start or end now.
select private.apply_sales()

-- name: is_same(one, other)
-- Whether two ids are those of one product, which was merged.
select count(*) = 2 and count(distinct product_id) = 1
from public.product_offers where id in (:one::uuid, :other::uuid)

-- name: of_merged(ids)
-- The products that these were merged into.
select id, product_id from public.product_offers where id = any (:ids::uuid[]) and product_id <> id

-- name: merge(one, other, into)
-- As service_role. into: the second stays, else the older.
select * from private.merge_two_products(:one::uuid, :other::uuid, :into::boolean)

-- name: split(id)
-- As service_role.
select * from private.split_product(:id::uuid)
