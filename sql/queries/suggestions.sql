-- What completes a text that somebody is typing.

-- name: products(prefix, size)
select private.suggest_products(:prefix::text, :size::int)

-- name: names(kind, prefix, size)
-- Keys: ids of brands or categories, or tags.
select private.suggest_names(:kind::text, :prefix::text, :size::int)
