-- The index products_facets_idx goes.
drop index public.products_facets_idx;
