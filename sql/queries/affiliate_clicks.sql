-- name: create(product_id, offer_id, session_id, recommendation_id, source_page, campaign)
select private.create_affiliate_click(
  :product_id::uuid, :offer_id::uuid, :session_id::uuid, :recommendation_id::uuid, :source_page::text, :campaign::text)

-- name: follow(click_id, visitor_hash, device_class)
-- As service_role: records the hit, unless it repeats one of the last hour, and returns the offer.
select f.affiliate_url, f.click_parameter, exists (
  select from public.affiliate_clicks c
  join public.affiliate_redirects r on r.user_id = c.user_id and r.click_id = c.id
  where c.id = :click_id::uuid and r.visitor_hash = :visitor_hash::bytea
    and r.redirected_at > now() - interval '1 hour') as is_repeat
from private.follow_affiliate_click(:click_id::uuid, :visitor_hash::bytea, :device_class::text) f

-- name: target(click_id)
-- As service_role: only the offer, for a visit that does not count as a hit.
select affiliate_url, click_parameter from public.affiliate_clicks where id = :click_id::uuid

-- name: converted_since(user_id, since, maximum)
-- A person's clicks whose commission changed after a timestamp, the latest first.
select v.click_id
from public.conversions v
where v.user_id = :user_id::uuid and v.click_id is not null and v.updated_at > :since::timestamptz
group by v.click_id
order by max(v.updated_at) desc
limit :maximum::int
