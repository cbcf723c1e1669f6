drop index public.products_merged_into_idx;
