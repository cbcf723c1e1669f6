-- aclue: no transaction
-- The clicks of an offer.
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create index concurrently affiliate_clicks_offer_id_idx on public.affiliate_clicks (offer_id);
