-- All blocks run as service_role.

-- name: refresh()
-- Computes one day that is due; null if none is, or another process is at it.
select private.refresh_rollups()

-- name: rebuild()
select private.note_all_rollup_days()

-- name: days()
select * from private.rollup_days() d (day)

-- name: differs(day)
select private.rollups_differ(:day::date)
