drop index public.products_suggest_idx;
