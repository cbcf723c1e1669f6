drop index public.products_name_key_idx;
