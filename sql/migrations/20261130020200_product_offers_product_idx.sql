-- aclue: no transaction
-- The offers of a product.
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create index concurrently product_offers_product_id_idx on public.product_offers (product_id);
