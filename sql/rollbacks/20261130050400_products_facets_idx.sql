drop index public.products_facets_idx;
