-- name: of_products(product_ids, size, all)
-- What shops ask for each product now, cheapest first, other currencies than its own last; the leading offer of a product
-- that nobody sells any more. all: offers that are not active, too, behind the others. The limit limits nothing: see
-- recommendations.similar.
select o.id, o.product_id, o.retailer_id, o.price_minor, o.currency, o.in_stock, o.is_active, o.shipping_minor,
  o.regular_price_minor, o.sale_price_minor, o.last_seen_at, o.edited
from (select unnest(:product_ids::uuid[]) as id limit cardinality(:product_ids::uuid[])) wanted
join public.products p on p.id = wanted.id
cross join lateral (
  select * from public.product_offers o
  where o.product_id = p.id and (o.is_active or o.id = coalesce(p.offer_id, p.id) or :all::boolean)
  order by not o.is_active, o.currency <> p.currency, o.currency, o.price_minor, o.shipping_minor, o.retailer_id, o.id
  limit :size::integer
) o
order by o.product_id, not o.is_active, o.currency <> p.currency, o.currency, o.price_minor, o.shipping_minor, o.retailer_id, o.id

-- name: lock()
-- Before a change by hand: imports write the same rows, and decide by what administrators set. As private.merge_two_products().
select pg_advisory_xact_lock(hashtext('aclue.refresh_model'))

-- name: find(id)
select o.id, o.product_id, o.retailer_id, o.currency, o.shipping_minor
from public.product_offers o where o.id = :id::uuid

-- name: listed(product, offer, size)
-- For operators: an offer, or all of the product that a listing is of; the leading one first.
select o.id, r.slug, l.external_id, o.price_minor, o.currency, o.shipping_minor, o.in_stock, o.is_active, o.edited,
  o.affiliate_url, o.id = coalesce(p.offer_id, p.id) as leads
from public.product_offers o
join public.products p on p.id = o.product_id
join public.products l on l.id = o.id
join public.retailers r on r.id = o.retailer_id
where o.id = :offer::uuid or o.product_id = (select w.product_id from public.product_offers w where w.id = :product::uuid)
order by leads desc, o.is_active desc, o.price_minor, o.id limit :size::int

-- name: create(product_id, retailer_id, external_id, url, price_minor, currency, shipping_minor, in_stock)
-- As service_role: the listing of a shop, merged into the product and with its text; the offer comes by a trigger. Null if
-- the shop has a listing with this external id.
insert into public.products (name, description, image_url, images, tags, brand_id, category_id, options, retailer_id,
  external_id, affiliate_url, price_minor, currency, shipping_minor, in_stock, is_active, merged_into, merged_at, merged_by)
select p.name, p.description, p.image_url, p.images, p.tags, p.brand_id, p.category_id, p.options, :retailer_id::uuid,
  :external_id::text, :url::text, :price_minor::bigint, :currency::text, :shipping_minor::bigint, :in_stock::boolean,
  false, p.id, now(), 'administrator'
from public.products p where p.id = :product_id::uuid
on conflict on constraint products_retailer_id_external_id_key do nothing
returning id

-- name: update(id, price_minor, currency, shipping_minor, set_shipping, in_stock, url, is_active, edited, released)
-- As service_role; the product follows by a trigger. Null leaves a column unchanged. A price ends a sale. Another link
-- activates an offer that the check of links deactivated, as an import's does.
update public.product_offers o set
  price_minor = coalesce(:price_minor::bigint, o.price_minor),
  currency = coalesce(:currency::text, o.currency),
  regular_price_minor = case when :price_minor::bigint is null then o.regular_price_minor end,
  sale_price_minor = case when :price_minor::bigint is null then o.sale_price_minor end,
  sale_starts_at = case when :price_minor::bigint is null then o.sale_starts_at end,
  sale_ends_at = case when :price_minor::bigint is null then o.sale_ends_at end,
  shipping_minor = case when :set_shipping::boolean then :shipping_minor::bigint else o.shipping_minor end,
  in_stock = coalesce(:in_stock::boolean, o.in_stock),
  affiliate_url = coalesce(:url::text, o.affiliate_url),
  is_active = coalesce(:is_active::boolean, o.is_active or o.link_failures = 3 and coalesce(:url::text <> o.affiliate_url, false)),
  link_failures = case when :is_active::boolean is not null or :url::text <> o.affiliate_url
    then 0 else o.link_failures end,
  link_checked_at = case when :url::text <> o.affiliate_url then null else o.link_checked_at end,
  edited = array(
    select distinct e from unnest(o.edited || :edited::text[]) e where e <> all (:released::text[]) order by e),
  last_seen_at = clock_timestamp()
where o.id = :id::uuid
returning id

-- name: set_default_currency(currency)
-- As service_role: how many products may have another leading offer.
select private.set_default_currency(:currency::text)
