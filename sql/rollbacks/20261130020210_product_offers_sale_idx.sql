-- The index product_offers_sale_idx goes.
drop index public.product_offers_sale_idx;
