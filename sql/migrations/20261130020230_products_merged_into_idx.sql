-- aclue: no transaction
-- What was merged into a product.
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create index concurrently products_merged_into_idx on public.products (merged_into);
