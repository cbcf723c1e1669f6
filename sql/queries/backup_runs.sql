-- name: record(kind, failure)
-- As the owner; nothing before the first migration that knows of it.
select private.record_backup(:kind::text, :failure::text, now())

-- name: is_known()
select to_regprocedure('private.record_backup(text, text, timestamptz)') is not null
