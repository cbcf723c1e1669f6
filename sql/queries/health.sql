-- name: ready()
-- A table of the API is readable under claims.
select exists (select from public.categories)
