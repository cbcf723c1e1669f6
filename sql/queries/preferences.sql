-- name: rebuild(product_ids)
-- Rebuilds the caller's signals of these products (null: all), from which preferences follow. The caller holds the lock.
-- swipes.record calls the same function.
select private.sync_signals(:product_ids::uuid[])
