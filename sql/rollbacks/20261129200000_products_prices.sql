-- The index products_prices_idx goes.
drop index public.products_prices_idx;
