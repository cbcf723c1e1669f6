-- name: newest(product_ids, size)
-- The newest prices of each product.
select p.product_id, p.retailer_id, p.price_minor, p.currency, p.valid_from
from unnest(:product_ids::uuid[]) wanted (id)
cross join lateral (
  select * from public.product_prices p where p.product_id = wanted.id
  order by p.valid_from desc, p.retailer_id desc limit :size::integer
) p
order by p.product_id, p.valid_from desc, p.retailer_id desc
