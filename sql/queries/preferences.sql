-- name: rebuild(product_ids)
-- The caller's signals of these products (null: of all) and preferences from the swipes, nothing of the latter for
-- somebody who withdrew personalisation; the caller holds the lock. swipes.record does the same.
select private.update_preferences(:product_ids::uuid[])
