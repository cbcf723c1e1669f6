-- Who sells a product for how much, now and before. Kept in step with products by triggers
-- (sql/functions/product_offers.sql).

create table public.product_offers (
  product_id uuid not null constraint product_offers_product_id_fkey
    references public.products (id) on delete cascade,
  retailer_id uuid not null constraint product_offers_retailer_id_fkey
    references public.retailers (id) on delete cascade,
  price_minor bigint not null,
  currency char(3) not null constraint product_offers_currency_fkey
    references public.currencies (code) on delete restrict,
  affiliate_url text not null,
  in_stock boolean not null default true,
  first_seen_at timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  constraint product_offers_pkey primary key (product_id, retailer_id),
  constraint product_offers_price_positive check (price_minor > 0),
  constraint product_offers_affiliate_url_https check (affiliate_url ~ '^https://')
);
comment on table public.product_offers is 'What each retailer asks for a product now; written by private.sync_product_offers().';
comment on column public.product_offers.in_stock is 'Whether it can be bought now: not so when the product is inactive.';
comment on column public.product_offers.last_seen_at is 'When it changed or, to the day, when a feed last named it.';
create index product_offers_retailer_id_idx on public.product_offers (retailer_id);
create index product_offers_currency_idx on public.product_offers (currency);

create table public.product_prices (
  product_id uuid not null constraint product_prices_product_id_fkey
    references public.products (id) on delete cascade,
  valid_from timestamptz not null default clock_timestamp(),
  retailer_id uuid not null constraint product_prices_retailer_id_fkey
    references public.retailers (id) on delete cascade,
  price_minor bigint not null,
  currency char(3) not null constraint product_prices_currency_fkey
    references public.currencies (code) on delete restrict,
  -- In this order the key also gives a product's newest prices.
  constraint product_prices_pkey primary key (product_id, valid_from, retailer_id),
  constraint product_prices_price_positive check (price_minor > 0)
);
comment on table public.product_prices is 'A row whenever a retailer''s price or currency of a product changes.';
create index product_prices_retailer_id_idx on public.product_prices (retailer_id);
create index product_prices_currency_idx on public.product_prices (currency);

insert into public.product_offers (
  product_id, retailer_id, price_minor, currency, affiliate_url, in_stock, first_seen_at, last_seen_at)
select id, retailer_id, price_minor, currency, affiliate_url, in_stock and is_active, created_at, updated_at
from public.products;
-- What it cost before now nobody has written down.
insert into public.product_prices (product_id, valid_from, retailer_id, price_minor, currency)
select id, now(), retailer_id, price_minor, currency from public.products;
