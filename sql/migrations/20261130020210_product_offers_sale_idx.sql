-- aclue: no transaction
-- Offers with a sale, for the job that starts and ends sales.
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create index concurrently product_offers_sale_idx on public.product_offers (id) where sale_price_minor is not null;
