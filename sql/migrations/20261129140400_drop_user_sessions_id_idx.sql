-- aclue: no transaction
-- Its place is taken by user_sessions_id_user_idx.
-- squawk-ignore prefer-robust-stmts
drop index concurrently public.user_sessions_id_idx;
