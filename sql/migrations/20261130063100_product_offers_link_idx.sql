-- aclue: no transaction
-- Offers whose links are due for a check, by shop.
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create index concurrently product_offers_link_idx
  on public.product_offers (retailer_id, (coalesce(link_checked_at, '-infinity')))
  where is_active or link_failures = 3;
