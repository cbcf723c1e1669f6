-- aclue: no transaction
-- Variants of a product.
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create index concurrently products_item_group_key_idx on public.products (item_group_key);
