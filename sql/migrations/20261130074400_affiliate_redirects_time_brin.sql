-- aclue: no transaction
-- The redirects of a day.
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create index concurrently affiliate_redirects_time_brin on public.affiliate_redirects
  using brin (redirected_at) with (pages_per_range = 32, autosummarize = on);
