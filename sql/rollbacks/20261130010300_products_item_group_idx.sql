drop index public.products_item_group_idx;
