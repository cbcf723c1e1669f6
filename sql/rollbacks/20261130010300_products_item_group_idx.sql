-- The index products_item_group_idx goes.
drop index public.products_item_group_idx;
