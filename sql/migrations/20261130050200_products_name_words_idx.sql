-- aclue: no transaction
-- Suggestions of words that few names have.
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create index concurrently products_name_words_idx on public.products
  using gin (array_to_tsvector(string_to_array(name_words, ' '))) where is_active;
