drop index public.products_prices_idx;
