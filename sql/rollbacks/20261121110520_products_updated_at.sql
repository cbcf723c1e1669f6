-- The index products_updated_at_idx goes.
drop index public.products_updated_at_idx;
