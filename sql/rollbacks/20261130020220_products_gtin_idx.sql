-- The index products_gtin_idx goes.
drop index public.products_gtin_idx;
