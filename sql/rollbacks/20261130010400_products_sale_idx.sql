drop index public.products_sale_idx;
