-- aclue: no transaction
-- With the person in it, for statements that name both: either index of the two then keeps them to the person.
-- squawk-ignore prefer-robust-stmts
create index concurrently user_sessions_id_user_idx on public.user_sessions (id, user_id);
