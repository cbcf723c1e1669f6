-- The index product_offers_link_idx goes.
drop index public.product_offers_link_idx;
