-- aclue: no transaction
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create index concurrently rollup_days_due_day_idx on private.rollup_days_due (day, due_at);
