-- What a sale earns: agreed rates, and the ledger of what networks report. A conversion keeps what it needs of its
-- click, so that erasing a person takes the click away and leaves the money.

create table public.commission_rules (
  id uuid not null default private.uuid_v7() constraint commission_rules_pkey primary key,
  retailer_id uuid not null constraint commission_rules_retailer_id_fkey
    references public.retailers (id) on delete cascade,
  category_id uuid constraint commission_rules_category_id_fkey references public.categories (id) on delete cascade,
  rate numeric(5, 4) not null,
  valid_from timestamptz not null default now(),
  valid_until timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint commission_rules_start_key unique nulls not distinct (retailer_id, category_id, valid_from),
  constraint commission_rules_rate_range check (rate between 0 and 1),
  constraint commission_rules_period check (valid_until > valid_from)
);
comment on table public.commission_rules is
  'Rates agreed with a shop, for all it sells (category_id null) or for a category and all below it.';
create index commission_rules_category_id_idx on public.commission_rules (category_id);

create table public.conversions (
  id uuid not null default private.uuid_v7() constraint conversions_pkey primary key,
  affiliate_network text not null constraint conversions_affiliate_network_fkey
    references public.affiliate_networks (code) on delete restrict,
  network_reference text not null,
  click_id uuid,
  user_id uuid constraint conversions_user_id_fkey references public.profiles (id) on delete set null,
  retailer_id uuid constraint conversions_retailer_id_fkey references public.retailers (id) on delete restrict,
  product_id uuid constraint conversions_product_id_fkey references public.products (id) on delete set null,
  status text not null default 'pending',
  sale_minor bigint not null,
  commission_minor bigint not null,
  currency char(3) not null constraint conversions_currency_fkey references public.currencies (code) on delete restrict,
  clicked_at timestamptz,
  ordered_at timestamptz not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint conversions_network_reference_key unique (affiliate_network, network_reference),
  constraint conversions_network_reference_length check (char_length(network_reference) between 1 and 200),
  constraint conversions_status check (status in ('pending', 'approved', 'rejected', 'reversed', 'paid')),
  constraint conversions_sale_not_negative check (sale_minor >= 0),
  constraint conversions_commission_not_negative check (commission_minor >= 0)
);
comment on table public.conversions is 'Sales as the networks report them, one row per sale; outlives click and person.';
comment on column public.conversions.click_id is 'No foreign key: the click goes with its person, the sale stays.';
create index conversions_click_id_idx on public.conversions (click_id);
create index conversions_user_id_idx on public.conversions (user_id);
create index conversions_retailer_id_idx on public.conversions (retailer_id);
create index conversions_product_id_idx on public.conversions (product_id);
create index conversions_currency_idx on public.conversions (currency);

create table public.conversion_events (
  id uuid not null default private.uuid_v7() constraint conversion_events_pkey primary key,
  conversion_id uuid not null constraint conversion_events_conversion_id_fkey
    references public.conversions (id) on delete cascade,
  status text not null,
  sale_minor bigint not null,
  commission_minor bigint not null,
  created_at timestamptz not null default clock_timestamp()
);
comment on table public.conversion_events is 'Every state a conversion has had; written by its trigger, never changed.';
create index conversion_events_conversion_id_idx on public.conversion_events (conversion_id, created_at);

create trigger commission_rules_updated_at before update on public.commission_rules
  for each row execute function public.update_updated_at_column();
create trigger conversions_updated_at before update on public.conversions
  for each row execute function public.update_updated_at_column();
