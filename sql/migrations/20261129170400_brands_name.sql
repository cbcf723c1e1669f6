-- aclue: no transaction
-- The order it served is brands_name_key_idx's now.
drop index concurrently if exists public.brands_name_idx;
