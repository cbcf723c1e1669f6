-- The index products_sale_idx comes back.
create index products_sale_idx on public.products (id) where sale_price_minor is not null;
