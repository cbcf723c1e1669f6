-- The index brands_name_key_idx goes.
drop index public.brands_name_key_idx;
