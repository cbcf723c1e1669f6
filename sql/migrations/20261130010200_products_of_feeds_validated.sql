-- The rows that were there keep them, too: they have the defaults.
alter table public.products
  validate constraint products_images_count,
  validate constraint products_images_length,
  validate constraint products_regular_price_range,
  validate constraint products_sale_times,
  validate constraint products_sale_below_regular,
  validate constraint products_sale_has_regular,
  validate constraint products_sale_period,
  validate constraint products_options_list;
