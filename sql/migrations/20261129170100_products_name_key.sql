-- aclue: no transaction
-- Products by name, without regard to case and accents.
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create index concurrently products_name_key_idx on public.products (name_key, name collate "C", id) where is_active;
