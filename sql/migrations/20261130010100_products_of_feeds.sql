-- What feeds say of products beyond a price and a picture: sales, more pictures, variants.
alter table public.products
  add column images text[] not null default '{}',
  add column regular_price_minor bigint,
  add column sale_price_minor bigint,
  add column sale_starts_at timestamptz,
  add column sale_ends_at timestamptz,
  add column if not exists item_group text,
  add column options jsonb not null default '[]';
comment on column public.products.images is 'All pictures, image_url first; empty if that is the only one.';
comment on column public.products.regular_price_minor is 'The price without its sale; null without one.';
comment on column public.products.sale_price_minor is
  'The price of a past, present or coming sale; price_minor is what is paid now: private.apply_sales().';
comment on column public.products.sale_starts_at is 'Null: the sale holds already.';
comment on column public.products.sale_ends_at is 'When the sale is over; null: until a feed ends it.';
comment on column public.products.options is 'What tells it from its variants: [{"name": "size", "value": "M"}].';

alter table public.products
  add constraint products_images_count check (cardinality(images) <= 20) not valid,
  add constraint products_images_length check (length(array_to_string(images, '')) <= 40000) not valid,
  add constraint products_regular_price_range check (regular_price_minor between 0 and 1000000000000) not valid,
  add constraint products_sale_times
    check (sale_starts_at between timestamptz '2000-01-01 00:00+00' and timestamptz '2200-01-01 00:00+00'
    and sale_ends_at between timestamptz '2000-01-01 00:00+00' and timestamptz '2200-01-01 00:00+00') not valid,
  add constraint products_sale_below_regular
    check (sale_price_minor > 0 and sale_price_minor < regular_price_minor) not valid,
  add constraint products_sale_has_regular
    check ((sale_price_minor is null) = (regular_price_minor is null)) not valid,
  add constraint products_sale_period check (sale_starts_at < sale_ends_at) not valid,
  add constraint products_options_list check (jsonb_typeof(options) = 'array') not valid;
