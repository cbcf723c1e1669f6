-- The index products_popularity_idx comes back.
create index products_popularity_idx on public.products (popularity desc, id desc) where is_active;
