-- aclue: no transaction
-- Suggestions in the order of popularity, from the index alone; it also serves pages in that order.
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create index concurrently products_suggest_idx on public.products (popularity desc, id desc) include (name_words)
  where is_active;
