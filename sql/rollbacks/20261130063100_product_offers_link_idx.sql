drop index public.product_offers_link_idx;
