-- The index products_number_idx goes.
drop index public.products_number_idx;
