-- The index products_name_idx comes back.
create index products_name_idx on public.products (name, id) where is_active;
