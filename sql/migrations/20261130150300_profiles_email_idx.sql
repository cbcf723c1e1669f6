-- aclue: no transaction
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create index concurrently profiles_email_idx on public.profiles (lower(email));
