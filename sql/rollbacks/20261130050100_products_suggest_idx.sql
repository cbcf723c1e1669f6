-- The index products_suggest_idx goes.
drop index public.products_suggest_idx;
