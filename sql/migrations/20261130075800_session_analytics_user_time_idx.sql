-- aclue: no transaction
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create index concurrently session_analytics_user_time_idx on public.session_analytics (user_id, started_at desc, id desc);
