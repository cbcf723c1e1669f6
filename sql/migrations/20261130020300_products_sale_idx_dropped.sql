-- aclue: no transaction
-- Sales are of offers: product_offers_sale_idx.
drop index concurrently if exists public.products_sale_idx;
