-- The index products_sale_idx goes.
drop index public.products_sale_idx;
