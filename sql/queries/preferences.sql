-- name: rebuild(product_ids)
-- The caller's signals of these products (null: of all) and preferences from the swipes, nothing of the latter for
-- somebody who withdrew personalisation; the caller holds the lock. swipes.record does the same.
with followed as materialized (select * from private.follow_swipes(:product_ids::uuid[]))
insert into public.user_preferences (
  category_preferences, brand_preferences, style_preferences, min_price_minor, max_price_minor, price_currency,
  total_swipes, right_swipes, confidence)
select category_preferences, brand_preferences, style_preferences, min_price_minor, max_price_minor, price_currency,
  total_swipes, right_swipes, confidence
from followed
on conflict (user_id) do update set
  category_preferences = excluded.category_preferences, brand_preferences = excluded.brand_preferences,
  style_preferences = excluded.style_preferences, min_price_minor = excluded.min_price_minor,
  max_price_minor = excluded.max_price_minor, price_currency = excluded.price_currency,
  total_swipes = excluded.total_swipes, right_swipes = excluded.right_swipes, confidence = excluded.confidence
