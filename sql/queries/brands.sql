-- Conditions on a brand, alias r.

-- name: is_active()
r.is_active

-- name: has_in_name(part)
strpos(private.search_fold(r.name), private.search_fold(:part::text)) > 0
