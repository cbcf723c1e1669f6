-- aclue: no transaction
-- swipes_own_product_idx replaces it.
drop index concurrently if exists public.swipes_user_product_idx;
