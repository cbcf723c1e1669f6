-- One product, many shops. The row of products that a shop's listing makes stays that listing's own: its text, pictures and
-- id. product_offers has what the shop asks, by the same id, and product_id: the product that it is an offer of.
-- docs/decisions/0013-offers.md

alter table public.currencies add column is_default boolean not null default false;
comment on column public.currencies.is_default is
  'DEFAULT_CURRENCY of the server: offers in it come before all others. Set by private.set_default_currency().';
update public.currencies set is_default = true where code = 'GBP';
-- A small table.
-- squawk-ignore require-concurrent-index-creation
create unique index currencies_default_key on public.currencies (is_default) where is_default;

alter table public.affiliate_networks
  add column commission_rate numeric(5, 4) not null default 0.05
  constraint affiliate_networks_commission_rate_range check (commission_rate between 0 and 1);
comment on column public.affiliate_networks.commission_rate is
  'A typical rate, for shops of the network that have agreed on none; 0..1.';
update public.affiliate_networks set commission_rate = 0 where code = 'direct';

alter table public.products
  add column merged_into uuid,
  add column merged_at timestamptz,
  add column merged_by text,
  add column is_kept_apart boolean not null default false,
  add column offer_id uuid,
  add column seller_id uuid,
  add column shipping_minor bigint;
comment on column public.products.retailer_id is 'The shop whose listing this row is; who sells it now: seller_id.';
comment on column public.products.merged_into is
  'The product that this listing was merged into; product_offers.product_id says where that has led to.';
comment on column public.products.merged_by is 'gtin: by an import, as the numbers are equal; administrator: by hand.';
comment on column public.products.is_kept_apart is 'Split by hand: an equal GTIN does not merge it again.';
comment on column public.products.offer_id is
  'The leading offer, whose price, stock, link and shop this row shows; null: its own. Set by private.lead_products().';
comment on column public.products.seller_id is 'The shop of the leading offer.';
comment on column public.products.shipping_minor is 'What the leading offer''s shop asks for shipping; null if unknown.';
alter table public.products
  add constraint products_merged_into_fkey foreign key (merged_into) references public.products (id)
    on delete cascade not valid,
  add constraint products_seller_id_fkey foreign key (seller_id) references public.retailers (id)
    on delete restrict not valid,
  add constraint products_merged_by check (merged_by in ('gtin', 'administrator')) not valid,
  add constraint products_merged_whole
    check ((merged_into is null) = (merged_at is null) and (merged_into is null) = (merged_by is null)) not valid,
  add constraint products_merged_inactive check (merged_into is null or not is_active) not valid,
  add constraint products_shipping_range check (shipping_minor between 0 and 1000000000000) not valid;

alter table public.product_offers
  add column id uuid,
  add column is_active boolean not null default true,
  add column shipping_minor bigint,
  add column regular_price_minor bigint,
  add column sale_price_minor bigint,
  add column sale_starts_at timestamptz,
  add column sale_ends_at timestamptz,
  add column link_checked_at timestamptz,
  add column link_failures smallint not null default 0;
comment on table public.product_offers is
  'What each shop asks for a product. A row has the id of the row of products that its listing made.';
comment on column public.product_offers.product_id is 'The product that it is an offer of; its own, unless that was merged.';
comment on column public.product_offers.in_stock is 'As the shop says.';
comment on column public.product_offers.is_active is 'Whether the shop''s feed still names it, and its link works.';
comment on column public.product_offers.shipping_minor is 'What the shop asks for shipping, in the currency; null if unknown.';
comment on column public.product_offers.link_failures is
  'How often in a row its link has led nowhere (404 or 410): the third deactivates it.';

-- Nobody follows products until the functions of this release are there, which catch up: sql/functions/product_offers.sql.
drop trigger if exists products_offers_inserted on public.products;
drop trigger if exists products_offers_updated on public.products;
drop trigger if exists products_offer_moved on public.products;
update public.product_offers o set
  id = p.id, is_active = p.is_active, in_stock = p.in_stock, regular_price_minor = p.regular_price_minor,
  sale_price_minor = p.sale_price_minor, sale_starts_at = p.sale_starts_at, sale_ends_at = p.sale_ends_at
from public.products p where p.id = o.product_id and p.retailer_id = o.retailer_id;
-- Only the trigger wrote offers: there are no others.
delete from public.product_offers where id is null;
-- The table is locked already, by the update above, and nobody else writes it.
-- squawk-ignore adding-not-nullable-field
alter table public.product_offers alter column id set not null;
-- squawk-ignore ban-drop-constraint
alter table public.product_offers drop constraint product_offers_pkey;
-- squawk-ignore constraint-missing-not-valid, adding-serial-primary-key-field
alter table public.product_offers add constraint product_offers_pkey primary key (id);
alter table public.product_offers
  add constraint product_offers_id_fkey foreign key (id) references public.products (id) on delete cascade not valid,
  add constraint product_offers_shipping_range check (shipping_minor between 0 and 1000000000000) not valid,
  add constraint product_offers_sale_below_regular
    check (sale_price_minor > 0 and sale_price_minor < regular_price_minor) not valid,
  add constraint product_offers_sale_has_regular
    check ((sale_price_minor is null) = (regular_price_minor is null)) not valid,
  add constraint product_offers_sale_period check (sale_starts_at < sale_ends_at) not valid,
  add constraint product_offers_link_failures_range check (link_failures between 0 and 3) not valid;

alter table public.products disable trigger user;
update public.products set seller_id = retailer_id;
alter table public.products enable trigger user;

comment on column public.product_prices.product_id is
  'The offer''s id, which is that of the product of its listing: a history stays with its offer when products merge.';

alter table public.affiliate_clicks add column offer_id uuid;
comment on column public.affiliate_clicks.offer_id is 'The offer that it leads to; null for clicks of earlier releases.';
alter table public.affiliate_clicks
  add constraint affiliate_clicks_offer_id_fkey foreign key (offer_id) references public.product_offers (id)
    on delete set null not valid;

-- What was moved when products merged, so that a split moves it back.
create table private.merged_rows (
  user_id uuid not null constraint merged_rows_user_id_fkey references public.profiles (id) on delete cascade,
  product_id uuid not null constraint merged_rows_product_id_fkey references public.products (id) on delete cascade,
  table_name text not null,
  row_id uuid not null,
  constraint merged_rows_pkey primary key (user_id, product_id, table_name, row_id)
);
comment on table private.merged_rows is
  'Rows of people that were of a product before it was merged; written by private.move_merged_rows().';
create index merged_rows_product_id_idx on private.merged_rows (product_id, table_name);
alter table private.merged_rows enable row level security;
revoke all on table private.merged_rows from public;

-- squawk-ignore ban-drop-constraint
alter table public.audit_log drop constraint audit_log_operation;
alter table public.audit_log add constraint audit_log_operation
  check (operation in ('insert', 'update', 'delete', 'import', 'merge', 'split')) not valid;
