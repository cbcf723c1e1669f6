-- name: add(days, subjects, bytes)
-- As service_role.
select day, subject, bytes from private.add_storage_use(:days::date[], :subjects::bytea[], :bytes::bigint[])
