-- The index products_prices_desc_idx goes.
drop index public.products_prices_desc_idx;
