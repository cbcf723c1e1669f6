drop index public.products_seller_id_idx;
