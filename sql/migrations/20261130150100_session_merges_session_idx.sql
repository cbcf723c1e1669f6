-- aclue: no transaction
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create index concurrently session_merges_session_idx on public.session_merges (session_profile_id);
