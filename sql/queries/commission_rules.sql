-- What is agreed with shops and networks. As service_role.

-- name: listed(rule)
-- All rules, or one: those of a network first, then by shop, each by category, brand, tier and begin.
select c.id, c.affiliate_network, r.slug as retailer, k.slug as category, b.slug as brand, c.rate, c.flat_minor, c.cap_minor,
  c.currency, c.min_conversions, c.valid_from, c.valid_until,
  case when c.valid_until <= now() then 'ended' when c.valid_from > now() then 'later' else 'now' end as state
from public.commission_rules c
left join public.retailers r on r.id = c.retailer_id
left join public.categories k on k.id = c.category_id
left join public.brands b on b.id = c.brand_id
where :rule::uuid is null or c.id = :rule::uuid
order by r.slug nulls first, c.affiliate_network, k.slug nulls first, b.slug nulls first, c.min_conversions nulls first,
  c.valid_from, c.id

-- name: add(network, retailer, category, brand, rate, flat_minor, cap_minor, currency, min_conversions, valid_from, valid_until)
-- Slugs and keys that are known. Nothing is returned where there is a rule of the same things from the same time.
insert into public.commission_rules (affiliate_network, retailer_id, category_id, brand_id, rate, flat_minor, cap_minor, currency,
  min_conversions, valid_from, valid_until)
values (:network::text, :retailer::uuid, :category::uuid, :brand::uuid, :rate::numeric, :flat_minor::bigint, :cap_minor::bigint,
  :currency::text, :min_conversions::integer, coalesce(:valid_from::timestamptz, now()), :valid_until::timestamptz)
on conflict do nothing
returning id

-- name: end_at(rule, valid_until)
-- Ends a rule that has begun; deletes one that has not begun by then, which no click can have. Nothing is returned where there
-- is no such rule, or it has ended before.
with ended as (
  update public.commission_rules c set valid_until = coalesce(:valid_until::timestamptz, now())
  where c.id = :rule::uuid and c.valid_from < coalesce(:valid_until::timestamptz, now())
    and coalesce(c.valid_until, 'infinity') > now() and coalesce(:valid_until::timestamptz, now()) >= now()
  returning c.id
), deleted as (
  delete from public.commission_rules c
  where c.id = :rule::uuid and c.valid_from > now() and c.valid_from >= coalesce(:valid_until::timestamptz, now())
  returning c.id
)
select id, true as is_kept from ended union all select id, false from deleted
