-- name: create(product_id, message, recipient_name, occasion, expires_at, max_uses)
-- Nothing when the product is not on offer.
insert into public.gift_links (product_id, message, recipient_name, occasion, expires_at, max_uses)
select id, :message::text, :recipient_name::text, :occasion::text, :expires_at::timestamptz, :max_uses::integer
from public.products where id = :product_id::uuid and is_active
returning id

-- name: create_click(id, product_id, session_id, recommendation_id, source_page, campaign)
select click_id, refusal from private.create_gift_link_click(
  :id::uuid, :product_id::uuid, :session_id::uuid, :recommendation_id::uuid, :source_page::text, :campaign::text)

-- name: create_click_of_maker(id)
-- As service_role: for somebody without a session.
select click_id, refusal from private.use_gift_link(:id::uuid, null, null, null, null, 'gift-link', null)

-- name: revoke(user_id, id)
-- The link's id, whether it was revoked now or before; nothing when it is not this person's.
with revoked as (
  update public.gift_links set revoked_at = now()
  where user_id = :user_id::uuid and id = :id::uuid and revoked_at is null
)
select id from public.gift_links where user_id = :user_id::uuid and id = :id::uuid
