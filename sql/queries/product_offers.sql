-- name: of_products(product_ids, size)
-- What shops ask for each product now, cheapest first, other currencies than its own last; the leading offer of a product
-- that nobody sells any more.
select o.id, o.product_id, o.retailer_id, o.price_minor, o.currency, o.in_stock, o.is_active, o.shipping_minor,
  o.regular_price_minor, o.sale_price_minor, o.last_seen_at
from unnest(:product_ids::uuid[]) wanted (id)
join public.products p on p.id = wanted.id
cross join lateral (
  select * from public.product_offers o
  where o.product_id = p.id and (o.is_active or o.id = coalesce(p.offer_id, p.id))
  order by o.currency <> p.currency, o.currency, o.price_minor, o.shipping_minor, o.retailer_id, o.id
  limit :size::integer
) o
order by o.product_id, o.currency <> p.currency, o.currency, o.price_minor, o.shipping_minor, o.retailer_id, o.id

-- name: set_default_currency(currency)
-- As service_role: how many products may have another leading offer.
select private.set_default_currency(:currency::text)
