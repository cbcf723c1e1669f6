-- name: rebuild(product_ids)
-- Rebuilds the caller's signals of these products (null: all) and the preferences; without consent to personalisation
-- only the signals. The caller holds the lock. swipes.record calls the same function.
select private.update_preferences(:product_ids::uuid[])
