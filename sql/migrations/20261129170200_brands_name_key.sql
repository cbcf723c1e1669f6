-- aclue: no transaction
-- Brands by name, without regard to case and accents.
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create index concurrently brands_name_key_idx
  on public.brands ((private.search_fold(name) collate "C"), (name collate "C"), id);
