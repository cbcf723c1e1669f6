-- name: create(product_id, offer_id, session_id, recommendation_id, source_page, campaign, device_class)
select private.create_affiliate_click(
  :product_id::uuid, :offer_id::uuid, :session_id::uuid, :recommendation_id::uuid, :source_page::text, :campaign::text,
  :device_class::text)

-- name: route(click_id)
-- As service_role: where the click's link leads now.
select * from private.route_affiliate_click(:click_id::uuid)

-- name: exists(click_id)
-- As service_role.
select exists (select from public.affiliate_clicks where id = :click_id::uuid)

-- name: substitute(click_id, offer_id, device_class)
-- As service_role: the click to the offer that the link leads to in place of its own.
select private.substitute_affiliate_click(:click_id::uuid, :offer_id::uuid, :device_class::text)

-- name: record(click_id, visitor_hash, device_class, uncounted_reason, led_to, network_hash)
-- As service_role: records a hit; whether it is the visitor's first of the hour.
select private.record_affiliate_redirect(
  :click_id::uuid, :visitor_hash::bytea, :device_class::text, :uncounted_reason::text, :led_to::uuid,
  :network_hash::bytea)

-- name: is_requested()
-- Alias r; not a click that a link was led to in place of its own.
r.substitute_of is null

-- name: converted_since(user_id, since, maximum)
-- A person's clicks whose commission changed after a timestamp, the latest first.
select v.click_id
from public.conversions v
where v.user_id = :user_id::uuid and v.click_id is not null and v.updated_at > :since::timestamptz
group by v.click_id
order by max(v.updated_at) desc
limit :maximum::int
