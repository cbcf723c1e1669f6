-- aclue: no transaction
-- Facets from the index alone: everything that filters and facets look at, except tags and words.
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create index concurrently products_facets_idx on public.products
  (category_id, brand_id, seller_id, currency, price_minor, in_stock) where is_active;
