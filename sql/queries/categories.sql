-- Conditions on a category, alias r.

-- name: is_active()
r.is_active
