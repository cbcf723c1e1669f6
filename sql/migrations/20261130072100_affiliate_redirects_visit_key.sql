-- aclue: no transaction
-- One hit of a link a visitor and hour, whoever comes at the same time. Visitors of whom nothing is known are one.
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create unique index concurrently affiliate_redirects_visit_key on public.affiliate_redirects
  (user_id, click_id, visited_hour, uncounted_reason, visitor_hash) nulls not distinct where visited_hour is not null;
