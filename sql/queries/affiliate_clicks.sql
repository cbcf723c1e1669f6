-- name: create(product_id, session_id, recommendation_id, source_page, campaign)
select private.create_affiliate_click(
  :product_id::uuid, :session_id::uuid, :recommendation_id::uuid, :source_page::text, :campaign::text)

-- name: follow(click_id, user_agent)
-- As service_role: records the hit and gives the offer.
select affiliate_url, click_parameter from private.follow_affiliate_click(:click_id::uuid, :user_agent::text)
