-- All blocks run as service_role.

-- name: due()
-- The day to compute next; null if none is due.
select private.rollup_day_due()

-- name: refresh(day)
-- Computes the day, or without one what is due else; null if nothing is, or another process is at it.
select private.refresh_rollups(:day::date)

-- name: postpone(day)
select private.postpone_rollups(:day::date)

-- name: rebuild()
select private.note_all_rollup_days()

-- name: days()
select * from private.rollup_days() d (day)

-- name: differs(day)
select private.rollups_differ(:day::date)
