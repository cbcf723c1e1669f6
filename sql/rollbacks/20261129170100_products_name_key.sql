-- The index products_name_key_idx goes.
drop index public.products_name_key_idx;
