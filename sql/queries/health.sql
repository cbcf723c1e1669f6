-- name: ready()
-- Whether a table of the API can be read under claims.
select exists (select from public.categories)
