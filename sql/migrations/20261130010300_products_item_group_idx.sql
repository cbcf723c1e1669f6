-- aclue: no transaction
-- The variants of a product.
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create index concurrently products_item_group_idx on public.products (retailer_id, item_group)
  where item_group is not null;
