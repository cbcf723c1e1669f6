-- name: newest(product_ids, size)
-- The newest prices of each product, over all its offers. The history of an offer stays with it when products merge.
select wanted.id as of_product, n.retailer_id, n.price_minor, n.currency, n.valid_from
from unnest(:product_ids::uuid[]) wanted (id)
cross join lateral (
  select h.* from public.product_offers o
  cross join lateral (
    select * from public.product_prices h where h.product_id = o.id
    order by h.valid_from desc, h.retailer_id desc limit :size::integer
  ) h
  where o.product_id = wanted.id
  order by h.valid_from desc, h.retailer_id desc limit :size::integer
) n
order by wanted.id, n.valid_from desc, n.retailer_id desc

-- name: newest_of_offers(offer_ids, size)
-- The newest prices of each offer.
select n.product_id, n.retailer_id, n.price_minor, n.currency, n.valid_from
from unnest(:offer_ids::uuid[]) wanted (id)
cross join lateral (
  select * from public.product_prices h where h.product_id = wanted.id
  order by h.valid_from desc, h.retailer_id desc limit :size::integer
) n
order by n.product_id, n.valid_from desc, n.retailer_id desc
