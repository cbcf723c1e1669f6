drop index public.products_updated_at_idx;
