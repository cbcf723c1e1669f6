-- name: create(product_id, message, recipient_name, occasion, expires_at, max_uses)
-- No row if the product is not on offer.
insert into public.gift_links (product_id, message, recipient_name, occasion, expires_at, max_uses)
select p.id, :message::text, :recipient_name::text, :occasion::text, :expires_at::timestamptz, :max_uses::integer
from public.product_offers o join public.products p on p.id = o.product_id
where o.id = :product_id::uuid and p.is_active
returning id

-- name: create_click(id, product_id, session_id, recommendation_id, source_page, campaign, device_class)
select click_id, refusal from private.create_gift_link_click(
  :id::uuid, :product_id::uuid, :session_id::uuid, :recommendation_id::uuid, :source_page::text, :campaign::text,
  :device_class::text)

-- name: create_click_of_maker(id, device_class)
-- As service_role: for visitors without a session.
select click_id, refusal from private.use_gift_link(
  :id::uuid, null, null, null, null, 'gift-link', null, :device_class::text)

-- name: revoke(user_id, id)
-- The link's id, whether it was revoked now or before; no row if it is not this person's.
with revoked as (
  update public.gift_links set revoked_at = now()
  where user_id = :user_id::uuid and id = :id::uuid and revoked_at is null
)
select id from public.gift_links where user_id = :user_id::uuid and id = :id::uuid

-- name: show(id)
-- As service_role, for the page of a link that may be used: without its maker and recipient.
select l.message, p.name, p.description, p.image_url, p.price_minor, p.currency, r.name as retailer,
  r.affiliate_network as network
from public.gift_links l
join public.products p on p.id = l.product_id
join public.retailers r on r.id = p.seller_id
where l.id = :id::uuid and l.revoked_at is null and coalesce(l.expires_at > now(), true)
  and coalesce(l.clicks < l.max_uses, true) and p.is_active

-- name: maker(id)
-- As service_role: the link's maker, unless it is revoked or expired.
select user_id from public.gift_links
where id = :id::uuid and revoked_at is null and coalesce(expires_at > now(), true)

-- name: remember_visit(user_id, operation, key, result_id)
-- As service_role: stores the click of a visit, so that a repeated visit adds none.
insert into public.idempotency_keys (user_id, operation, key, request_hash, result_id)
values (:user_id::uuid, :operation::text, :key::text, sha256(:key::text::bytea), :result_id::uuid)
