-- aclue: no transaction
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create index concurrently affiliate_redirects_network_idx on public.affiliate_redirects (network_hash, visited_hour)
  where network_hash is not null;
