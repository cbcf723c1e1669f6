drop index public.products_gtin_idx;
