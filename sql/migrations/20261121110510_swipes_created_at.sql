-- aclue: no transaction
-- Whether something was swiped since the newest model. Swipes come in the order of their times, so a few pages of a
-- BRIN index do what a B-tree over millions of events would.
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create index concurrently swipes_created_at_idx on public.swipes using brin (created_at)
  with (pages_per_range = 32, autosummarize = on);
