-- The rows that were there keep them, too.
alter table public.products
  validate constraint products_merged_into_fkey,
  validate constraint products_seller_id_fkey,
  validate constraint products_merged_by,
  validate constraint products_merged_whole,
  validate constraint products_merged_inactive,
  validate constraint products_shipping_range;
alter table public.product_offers
  validate constraint product_offers_id_fkey,
  validate constraint product_offers_shipping_range,
  validate constraint product_offers_sale_below_regular,
  validate constraint product_offers_sale_has_regular,
  validate constraint product_offers_sale_period,
  validate constraint product_offers_link_failures_range;
alter table public.affiliate_clicks validate constraint affiliate_clicks_offer_id_fkey;
alter table public.audit_log validate constraint audit_log_operation;
