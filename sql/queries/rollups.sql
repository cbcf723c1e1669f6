-- All blocks run as service_role.

-- name: due(before)
-- The newest day that is due, of those before this one (null: of all); null if there is none.
select private.rollup_day_due(:before::date)

-- name: refresh(day)
-- Computes the day; null if another process is at it.
select private.refresh_rollups(:day::date)

-- name: refresh_month()
-- Adds up the newest month that needs it; null if none does, or another process is at it.
select private.refresh_rollup_month()

-- name: postpone(day)
select private.postpone_rollups(:day::date)

-- name: rebuild()
select private.note_all_rollup_days()

-- name: days()
select * from private.rollup_days() d (day)

-- name: differs(day)
select private.rollups_differ(:day::date)
