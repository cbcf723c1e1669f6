-- aclue: no transaction
-- One substitute of a click at an offer.
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create unique index concurrently affiliate_clicks_substitute_key on public.affiliate_clicks
  (user_id, substitute_of, offer_id) where substitute_of is not null;
