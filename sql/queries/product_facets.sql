-- What a list of products can be narrowed to, with counts. {conditions} are those of the list, over alias r, but for the
-- facet's own. Products are counted by {thing}, as rows beside it: the group of which a list with collapsed variants has
-- one, null for products without one, and everywhere where variants are not collapsed. {count} and {sum} count things; {sum}
-- those that several rows have once.

-- name: categories(size)
-- A product counts for its category and for all above it.
with recursive tree (id, thing, products) as (
  (select r.category_id, {thing}, count(*) from public.products r where r.is_active and {conditions} group by 1, 2)
  union all
  select c.parent_id, t.thing, t.products
  from tree t join public.categories c on c.id = t.id where c.parent_id is not null
)
select id, ({sum})::int as products from tree group by 1 order by 2 desc, 1 limit :size::int

-- name: brands(size)
select id, ({count})::int as products
from (
  select r.brand_id as id, {thing} as thing, count(*) as products from public.products r
  where r.is_active and {conditions} and r.brand_id is not null group by 1, 2
) counted
group by 1 order by 2 desc, 1 limit :size::int

-- name: retailers(size)
select id, ({count})::int as products
from (
  select r.seller_id as id, {thing} as thing, count(*) as products from public.products r
  where r.is_active and {conditions} and r.seller_id is not null group by 1, 2
) counted
group by 1 order by 2 desc, 1 limit :size::int

-- name: tags(size)
select tag, ({count})::int as products
from (
  select tag, {thing} as thing, count(*) as products from public.products r cross join unnest(r.tags) tag (tag)
  where r.is_active and {conditions} group by 1, 2
) counted
group by 1 order by 2 desc, 1 limit :size::int

-- name: price_bands(edges)
-- By the number of the last edge that the price reaches, from 1.
select band, ({count})::int as products
from (
  select width_bucket(r.price_minor, :edges::bigint[]) as band, {thing} as thing, count(*) as products
  from public.products r where r.is_active and {conditions} group by 1, 2
) counted
group by 1 order by 1
