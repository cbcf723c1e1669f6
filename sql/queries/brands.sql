-- Conditions on a brand, alias r.

-- name: is_active()
r.is_active

-- name: named_like(pattern)
r.name ilike :pattern::text
