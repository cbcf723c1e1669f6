-- The index of days that are due goes.
drop index private.rollup_days_due_day_idx;
