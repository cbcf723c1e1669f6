-- The index swipes_own_product_idx goes.
drop index public.swipes_own_product_idx;
