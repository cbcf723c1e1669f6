-- aclue: no transaction
-- Products with a sale, for the job that starts and ends sales.
-- squawk-ignore prefer-robust-stmts
create index concurrently products_sale_idx on public.products (id) where sale_price_minor is not null;
