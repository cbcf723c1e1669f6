-- The index products_merged_into_idx goes.
drop index public.products_merged_into_idx;
