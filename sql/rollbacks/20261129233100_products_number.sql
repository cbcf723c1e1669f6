drop index public.products_number_idx;
