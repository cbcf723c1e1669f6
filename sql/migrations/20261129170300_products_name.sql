-- aclue: no transaction
-- The order it served is products_name_key_idx's now.
drop index concurrently if exists public.products_name_idx;
