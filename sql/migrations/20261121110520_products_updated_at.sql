-- aclue: no transaction
-- Whether a product changed since the newest model.
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create index concurrently products_updated_at_idx on public.products (updated_at);
