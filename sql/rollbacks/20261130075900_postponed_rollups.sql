-- The days that it had computed again stay due.
alter table private.rollup_days_due drop column is_postponed;
