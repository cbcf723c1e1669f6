-- name: create(product_id, offer_id, session_id, recommendation_id, source_page, campaign)
select private.create_affiliate_click(
  :product_id::uuid, :offer_id::uuid, :session_id::uuid, :recommendation_id::uuid, :source_page::text, :campaign::text)

-- name: follow(click_id, visitor_hash, device_class)
-- As service_role: the same as target, and records the hit, unless it repeats one of the last hour; is_new: it did.
select l.*, private.record_affiliate_redirect(:click_id::uuid, :visitor_hash::bytea, :device_class::text) as is_new
from private.link_of_affiliate_click(:click_id::uuid) l

-- name: target(click_id)
-- As service_role: where the click leads, for a visit that does not count as a hit.
select * from private.link_of_affiliate_click(:click_id::uuid)

-- name: converted_since(user_id, since, maximum)
-- A person's clicks whose commission changed after a timestamp, the latest first.
select v.click_id
from public.conversions v
where v.user_id = :user_id::uuid and v.click_id is not null and v.updated_at > :since::timestamptz
group by v.click_id
order by max(v.updated_at) desc
limit :maximum::int
