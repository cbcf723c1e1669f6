-- name: record(kind, failure)
-- As the owner; nothing before the first migration that knows of it.
select private.record_backup(:kind::text, :failure::text, now())

-- name: newest()
-- When the last successful one ended. As the owner.
select max(finished_at) from private.backup_runs where failure is null

-- name: is_known()
select to_regprocedure('private.record_backup(text, text, timestamptz)') is not null
