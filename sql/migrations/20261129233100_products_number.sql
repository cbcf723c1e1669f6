-- aclue: no transaction
-- Products by their number.
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create unique index concurrently products_number_idx on public.products (number);
