-- A day whose rollups cannot be computed waits, so that the others are.
alter table private.rollup_days_due add column is_postponed boolean not null default false;
comment on column private.rollup_days_due.is_postponed is 'Computing the day failed: it is not tried again before due_at.';

-- What analysts may see is decided when a day is computed. By then this release's functions are in place.
insert into private.rollup_days_due (day, due_at) select distinct r.day, now() + interval '10 minutes' from private.rollups r;
