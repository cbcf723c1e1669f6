-- The index products_seller_id_idx goes.
drop index public.products_seller_id_idx;
