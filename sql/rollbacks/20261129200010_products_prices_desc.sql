drop index public.products_prices_desc_idx;
