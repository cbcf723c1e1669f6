drop index public.brands_name_key_idx;
