-- name: page(kind, reason, product_id, before, size)
-- Everybody's, newest first, for analysts; null means any.
select id, product_id, kind, reason, rating, comment, context, model_version, created_at
from private.everybodys_feedback(:kind::text, :reason::text, :product_id::uuid, :before::uuid, :size::int)
