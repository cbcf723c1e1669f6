-- aclue: no transaction
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create index concurrently affiliate_redirects_hour_idx on public.affiliate_redirects (visited_hour)
  where is_counted and visited_hour is not null;
