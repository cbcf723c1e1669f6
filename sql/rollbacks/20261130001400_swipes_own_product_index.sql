drop index public.swipes_own_product_idx;
