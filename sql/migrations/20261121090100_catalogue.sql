-- What one can give: categories, brands, affiliate networks, retailers, products.

create table public.categories (
  id uuid default private.uuid_v7() constraint categories_pkey primary key,
  parent_id uuid constraint categories_parent_id_fkey references public.categories (id) on delete restrict,
  slug text not null constraint categories_slug_key unique,
  name text not null,
  is_active boolean not null default true,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint categories_slug_format check (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
  constraint categories_not_own_parent check (parent_id <> id)
);
create index categories_parent_id_idx on public.categories (parent_id);

create table public.brands (
  id uuid default private.uuid_v7() constraint brands_pkey primary key,
  slug text not null constraint brands_slug_key unique,
  name text not null,
  is_active boolean not null default true,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint brands_slug_format check (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$')
);
create index brands_name_idx on public.brands (name, id);

create table public.affiliate_networks (
  code text constraint affiliate_networks_pkey primary key,
  name text not null,
  click_parameter text,
  constraint affiliate_networks_click_parameter_format check (click_parameter ~ '^[A-Za-z0-9_]+$')
);
comment on column public.affiliate_networks.click_parameter is
  'Query parameter of a tracked link that carries our click id and comes back with a sale; null: the network has none.';

create table public.retailers (
  id uuid default private.uuid_v7() constraint retailers_pkey primary key,
  slug text not null constraint retailers_slug_key unique,
  name text not null,
  domain text,
  affiliate_network text constraint retailers_affiliate_network_fkey
    references public.affiliate_networks (code) on delete restrict,
  commission_rate numeric(5, 4),
  is_active boolean not null default true,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint retailers_slug_format check (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
  constraint retailers_commission_rate_range check (commission_rate between 0 and 1)
);
create index retailers_affiliate_network_idx on public.retailers (affiliate_network);

-- Minor units per currency (ISO 4217): 2 decimals for most, 0 for yen, 3 for dinars.
create table public.currencies (
  code char(3) constraint currencies_pkey primary key,
  exponent smallint not null,
  constraint currencies_code_format check (code ~ '^[A-Z]{3}$'),
  constraint currencies_exponent_range check (exponent between 0 and 4)
);

create table public.products (
  id uuid default private.uuid_v7() constraint products_pkey primary key,
  name text not null,
  description text,
  price_minor bigint not null,
  currency char(3) not null constraint products_currency_fkey references public.currencies (code) on delete restrict,
  image_url text,
  tags text[] not null default '{}',
  in_stock boolean not null default true,
  is_active boolean not null default true,
  brand_id uuid constraint products_brand_id_fkey references public.brands (id) on delete set null,
  category_id uuid not null constraint products_category_id_fkey references public.categories (id) on delete restrict,
  retailer_id uuid not null constraint products_retailer_id_fkey references public.retailers (id) on delete restrict,
  external_id text not null,
  affiliate_url text not null,
  gtin text,
  feed_popularity real,
  popularity real not null default 0,
  search_names text not null default '',
  search tsvector generated always as (
    setweight(to_tsvector('english', name), 'A')
    || setweight(to_tsvector('english', search_names), 'B')
    || setweight(to_tsvector('english', coalesce(description, '')), 'C')
  ) stored,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint products_retailer_id_external_id_key unique (retailer_id, external_id),
  constraint products_name_length check (char_length(name) between 1 and 500),
  constraint products_price_positive check (price_minor > 0),
  constraint products_affiliate_url_https check (affiliate_url ~ '^https://'),
  constraint products_image_url_https check (image_url ~ '^https://'),
  constraint products_tags_count check (cardinality(tags) <= 40),
  constraint products_feed_popularity_range check (feed_popularity between 0 and 1),
  constraint products_popularity_range check (popularity between 0 and 1)
);
comment on column public.products.affiliate_url is 'The shop''s page of the offer; a tracked link adds our click id to it.';
comment on column public.products.feed_popularity is 'What the feed says of its popularity, 0..1: the prior of popularity.';
comment on column public.products.popularity is 'Smoothed share of likes, 0..1; set by private.refresh_model().';

comment on column public.products.search_names is
  'Its tags and the names of its brand and category, so that a search finds them; kept by a trigger.';

-- One index per order of the contract; each ends in id, the tie-break of the keyset cursors.
create index products_newest_idx on public.products (created_at desc, id desc) where is_active;
create index products_price_idx on public.products (price_minor, id) where is_active;
create index products_name_idx on public.products (name, id) where is_active;
create index products_popularity_idx on public.products (popularity desc, id desc) where is_active;
create index products_category_id_idx on public.products (category_id, created_at desc, id desc);
create index products_brand_id_idx on public.products (brand_id);
create index products_tags_idx on public.products using gin (tags);
create index products_search_idx on public.products using gin (search);
create index products_currency_idx on public.products (currency);

-- The words of the catalogue, for correcting a mistyped search. Rows are only ever added: a word that no product
-- uses any more matches nothing.
create table private.search_words (
  word text constraint search_words_pkey primary key,
  stem tsvector not null
);
-- Every word of 4 letters or more with one letter left out (and as it is). Two words one edit apart (a letter
-- missing, added, changed or two neighbours swapped) share a variant: symmetric deletion.
create table private.search_variants (
  variant text not null,
  word text not null constraint search_variants_word_fkey references private.search_words (word) on delete cascade,
  constraint search_variants_pkey primary key (variant, word)
);
create index search_variants_word_idx on private.search_variants (word);
alter table private.search_words enable row level security;
alter table private.search_variants enable row level security;

create trigger categories_updated_at before update on public.categories
  for each row execute function public.update_updated_at_column();
create trigger brands_updated_at before update on public.brands
  for each row execute function public.update_updated_at_column();
create trigger retailers_updated_at before update on public.retailers
  for each row execute function public.update_updated_at_column();
create trigger products_updated_at before update on public.products
  for each row execute function public.update_updated_at_column();

insert into public.currencies (code, exponent)
select code, 2 from unnest(array[
  'GBP', 'EUR', 'USD', 'AUD', 'CAD', 'CHF', 'CNY', 'CZK', 'DKK', 'HKD', 'HUF', 'ILS', 'INR', 'MXN', 'NOK', 'NZD',
  'PLN', 'RON', 'SEK', 'SGD', 'THB', 'TRY', 'ZAR', 'BRL', 'AED', 'SAR', 'MYR', 'PHP', 'TWD']) code
union all select code, 0 from unnest(array['JPY', 'KRW', 'ISK', 'CLP', 'VND']) code
union all select code, 3 from unnest(array['BHD', 'JOD', 'KWD', 'OMR', 'TND']) code;

-- The sub-id parameter of each network, as its publisher documentation names it.
insert into public.affiliate_networks (code, name, click_parameter) values
  ('amazon', 'Amazon Associates', 'ascsubtag'),
  ('awin', 'Awin', 'clickref'),
  ('cj', 'CJ', 'sid'),
  ('direct', 'Direct partnership', 'ref'),
  ('ebay', 'eBay Partner Network', 'customid'),
  ('impact', 'impact.com', 'subId1'),
  ('partnerize', 'Partnerize', 'pubref'),
  ('rakuten', 'Rakuten Advertising', 'u1'),
  ('shareasale', 'ShareASale', 'afftrack'),
  ('skimlinks', 'Skimlinks', 'xcust'),
  ('webgains', 'Webgains', 'clickref');

insert into public.categories (slug, name) values ('uncategorised', 'Uncategorised');
