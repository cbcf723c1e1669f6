-- aclue: no transaction
-- products_suggest_idx serves the order of products_popularity_idx.
drop index concurrently if exists public.products_popularity_idx;
