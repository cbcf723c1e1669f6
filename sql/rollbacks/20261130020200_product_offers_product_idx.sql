-- The index product_offers_product_id_idx goes.
drop index public.product_offers_product_id_idx;
