-- Conditions on a retailer, alias r.

-- name: is_active()
r.is_active
