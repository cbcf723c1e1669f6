-- aclue: no transaction
-- The products that a shop sells.
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create index concurrently products_seller_id_idx on public.products (seller_id);
