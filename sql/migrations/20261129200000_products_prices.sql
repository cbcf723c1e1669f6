-- aclue: no transaction
-- PRICE_ASC of several currencies, GBP first: prices compare within one currency only.
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create index concurrently products_prices_idx on public.products ((currency <> 'GBP'), currency, price_minor, id) where is_active;
