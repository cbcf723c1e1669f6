-- aclue: no transaction
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create index concurrently conversion_clicks_offer_id_idx on public.conversion_clicks (offer_id);
