-- aclue: no transaction
-- A person's newest swipe of each product without a sort, from the index alone: half the time of what it replaces, for 300.
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create index concurrently swipes_own_product_idx on public.swipes (user_id, product_id, created_at desc, id desc)
  include (direction, preference_strength, undone_at) where not is_for_somebody_else;
