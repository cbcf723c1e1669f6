drop index public.product_offers_sale_idx;
