-- The index swipes_user_product_idx comes back.
create index swipes_user_product_idx on public.swipes (user_id, product_id, created_at desc, id desc);
