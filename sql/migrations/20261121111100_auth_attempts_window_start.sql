-- aclue: no transaction
-- Each attempt forgets those of windows long over: without this it reads all attempts of a day to find none.
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create index concurrently auth_attempts_window_start_idx on private.auth_attempts (window_start);
