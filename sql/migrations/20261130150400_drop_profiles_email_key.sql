-- aclue: no transaction
-- auth.users keeps addresses unique; profiles_email_idx takes its place.
-- squawk-ignore prefer-robust-stmts
drop index concurrently public.profiles_email_key;
