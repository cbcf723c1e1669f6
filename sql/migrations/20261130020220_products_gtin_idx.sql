-- aclue: no transaction
-- Listings with the same GTIN. Numbers of 8, 12 and 13 digits are numbers of 14 with leading zeros.
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create index concurrently products_gtin_idx on public.products (lpad(gtin, 14, '0')) where gtin is not null;
