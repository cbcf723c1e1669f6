-- The ledger. Reports of networks are facts that nobody changes; conversions follow from them; each change of state is
-- booked by double entry. The conversions of earlier releases are replaced: no release wrote one.
-- squawk-ignore-file ban-drop-table, adding-foreign-key-constraint, constraint-missing-not-valid
-- squawk-ignore-file require-concurrent-index-creation, require-concurrent-index-deletion

drop table public.conversion_events;
drop table public.conversions;

create table public.conversion_reports (
  id uuid not null default private.uuid_v7() constraint conversion_reports_pkey primary key,
  affiliate_network text not null constraint conversion_reports_affiliate_network_fkey
    references public.affiliate_networks (code) on delete restrict,
  reference text not null,
  identity text not null,
  kind text not null,
  state text not null,
  advertiser_id text not null,
  currency char(3) not null constraint conversion_reports_currency_fkey
    references public.currencies (code) on delete restrict,
  amount_minor bigint not null,
  sale_minor bigint not null,
  stated_at timestamptz,
  ordered_at timestamptz not null,
  clicked_at timestamptz,
  tracking_id text,
  facts jsonb not null default '{}',
  click_refs text[],
  raw jsonb,
  source text not null,
  origin text,
  recorded_at timestamptz not null default clock_timestamp(),
  constraint conversion_reports_identity_key unique (affiliate_network, reference, identity),
  constraint conversion_reports_reference_length check (char_length(reference) between 1 and 200),
  constraint conversion_reports_identity_length check (char_length(identity) between 1 and 64),
  constraint conversion_reports_advertiser_id_length check (char_length(advertiser_id) between 1 and 200),
  constraint conversion_reports_tracking_id_length check (char_length(tracking_id) between 1 and 200),
  constraint conversion_reports_origin_length check (char_length(origin) <= 200),
  constraint conversion_reports_raw_size check (octet_length(raw::text) <= 100000),
  constraint conversion_reports_source check (source in ('import', 'pull', 'postback', 'manual'))
);
comment on table public.conversion_reports is
  'What a source said about a conversion, as it said it. Rows are only added; erasing a person empties click_refs and raw.';
comment on column public.conversion_reports.reference is 'Of the conversion, within its network.';
comment on column public.conversion_reports.identity is 'What tells a report from others of its conversion; repeats have the same.';
comment on column public.conversion_reports.amount_minor is
  'Commission: what stands, or a change, as the network''s reports of this kind say.';
comment on column public.conversion_reports.stated_at is 'When this state began, by the network''s own time.';
comment on column public.conversion_reports.click_refs is 'What the network passed on of our link: may be a click''s token.';
comment on column public.conversion_reports.origin is 'The name of the file, or of the account that was pulled.';
create index conversion_reports_currency_idx on public.conversion_reports (currency);

create table public.payments (
  id uuid not null default private.uuid_v7() constraint payments_pkey primary key,
  affiliate_network text not null constraint payments_affiliate_network_fkey
    references public.affiliate_networks (code) on delete restrict,
  reference text not null,
  advertiser_id text not null,
  advertiser text,
  period_start date not null,
  period_end date not null,
  currency char(3) not null constraint payments_currency_fkey references public.currencies (code) on delete restrict,
  amount_minor bigint not null,
  paid_on date not null,
  origin text,
  recorded_at timestamptz not null default clock_timestamp(),
  constraint payments_reference_key unique (reference),
  constraint payments_reference_length check (char_length(reference) between 1 and 200),
  constraint payments_advertiser_id_length check (char_length(advertiser_id) between 1 and 200),
  constraint payments_advertiser_length check (char_length(advertiser) <= 200),
  constraint payments_origin_length check (char_length(origin) <= 200),
  constraint payments_period check (period_end >= period_start)
);
comment on table public.payments is 'What networks really paid; rows are only added.';
create index payments_advertiser_idx on public.payments (affiliate_network, advertiser_id, currency, paid_on);
create index payments_currency_idx on public.payments (currency);

create table public.advertisers (
  id uuid not null default private.uuid_v7() constraint advertisers_pkey primary key,
  affiliate_network text not null constraint advertisers_affiliate_network_fkey
    references public.affiliate_networks (code) on delete cascade,
  advertiser_id text not null,
  currency char(3) constraint advertisers_currency_fkey references public.currencies (code) on delete restrict,
  retailer_id uuid not null constraint advertisers_retailer_id_fkey references public.retailers (id) on delete cascade,
  created_at timestamptz not null default now(),
  constraint advertisers_advertiser_key unique nulls not distinct (affiliate_network, advertiser_id, currency),
  constraint advertisers_advertiser_id_length check (char_length(advertiser_id) between 1 and 200)
);
comment on table public.advertisers is 'Which shop a network''s advertiser is; with a currency, for amounts in that one only.';
create index advertisers_retailer_id_idx on public.advertisers (retailer_id);
create index advertisers_currency_idx on public.advertisers (currency);

create table public.conversion_clicks (
  affiliate_network text not null,
  reference text not null,
  click_id uuid not null,
  retailer_id uuid constraint conversion_clicks_retailer_id_fkey references public.retailers (id) on delete restrict,
  product_id uuid constraint conversion_clicks_product_id_fkey references public.products (id) on delete set null,
  commission_rate numeric(5, 4),
  clicked_at timestamptz not null,
  matched_by text not null,
  created_at timestamptz not null default now(),
  constraint conversion_clicks_pkey primary key (affiliate_network, reference),
  constraint conversion_clicks_matched_by check (matched_by in ('click_id', 'click_time', 'manual'))
);
comment on table public.conversion_clicks is
  'The click that a conversion came from, and what the conversion needs of it once the click is erased with its person.';
comment on column public.conversion_clicks.click_id is 'No foreign key: the click goes with its person, the sale stays.';
create index conversion_clicks_click_id_idx on public.conversion_clicks (click_id);
create index conversion_clicks_retailer_id_idx on public.conversion_clicks (retailer_id);
create index conversion_clicks_product_id_idx on public.conversion_clicks (product_id);

create table public.conversions (
  id uuid not null constraint conversions_pkey primary key,
  affiliate_network text not null constraint conversions_affiliate_network_fkey
    references public.affiliate_networks (code) on delete restrict,
  reference text not null,
  advertiser_id text not null,
  tracking_id text,
  click_id uuid,
  user_id uuid constraint conversions_user_id_fkey references public.profiles (id) on delete set null,
  retailer_id uuid constraint conversions_retailer_id_fkey references public.retailers (id) on delete restrict,
  product_id uuid constraint conversions_product_id_fkey references public.products (id) on delete set null,
  status text not null,
  currency char(3) not null constraint conversions_currency_fkey references public.currencies (code) on delete restrict,
  sale_minor bigint not null,
  tracked_minor bigint not null,
  expected_minor bigint,
  pending_minor bigint not null,
  approved_minor bigint not null,
  declined_minor bigint not null,
  reversed_minor bigint not null,
  paid_minor bigint not null,
  clawback_minor bigint not null,
  variance_minor bigint not null,
  ordered_at timestamptz not null,
  clicked_at timestamptz,
  approved_at timestamptz,
  approved_from date,
  approved_until date,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint conversions_reference_key unique (affiliate_network, reference),
  constraint conversions_status
    check (status in ('pending', 'amended', 'approved', 'declined', 'void', 'reversed', 'paid', 'clawback', 'unknown'))
);
comment on table public.conversions is
  'The state of each conversion: a function of its reports, its click and the payments, rebuilt by `aclue ledger rebuild`.';
comment on column public.conversions.id is 'Follows from network and reference.';
comment on column public.conversions.click_id is 'No foreign key: the click goes with its person, the sale stays.';
comment on column public.conversions.status is 'unknown: what was reported fits no state; see the exceptions.';
comment on column public.conversions.sale_minor is 'First reported.';
comment on column public.conversions.tracked_minor is 'The commission first reported.';
comment on column public.conversions.expected_minor is 'The click''s rate of the sale first reported; null without a click.';
comment on column public.conversions.variance_minor is 'Paid less due, of payments that do not meet what they pay for.';
comment on column public.conversions.approved_from is 'The first and the last day on which something became approved, UTC.';
create index conversions_click_id_idx on public.conversions (click_id);
create index conversions_user_id_idx on public.conversions (user_id);
create index conversions_retailer_id_idx on public.conversions (retailer_id);
create index conversions_product_id_idx on public.conversions (product_id);
create index conversions_currency_idx on public.conversions (currency);
create index conversions_ordered_at_idx on public.conversions (ordered_at);
create index conversions_settled_idx on public.conversions (affiliate_network, advertiser_id, currency, approved_from);
create trigger conversions_updated_at before update on public.conversions
  for each row execute function public.update_updated_at_column();

create table public.ledger_entries (
  id uuid not null default private.uuid_v7() constraint ledger_entries_pkey primary key,
  transaction_id uuid not null,
  conversion_id uuid constraint ledger_entries_conversion_id_fkey references public.conversions (id) on delete restrict,
  payment_id uuid constraint ledger_entries_payment_id_fkey references public.payments (id) on delete restrict,
  account text not null,
  amount_minor bigint not null,
  currency char(3) not null constraint ledger_entries_currency_fkey references public.currencies (code) on delete restrict,
  event_at timestamptz not null,
  recorded_at timestamptz not null default now(),
  constraint ledger_entries_account check (account in ('expected', 'expectation', 'deferred', 'tracked', 'income',
    'approved', 'receivable', 'received', 'declined', 'reversed', 'clawed_back', 'rounding')),
  constraint ledger_entries_amount_not_zero check (amount_minor <> 0),
  constraint ledger_entries_subject check ((conversion_id is null) <> (payment_id is null))
);
comment on table public.ledger_entries is
  'Postings: a transaction adds up to 0 in each currency. Rows are only added; a correction is another transaction.';
comment on column public.ledger_entries.amount_minor is 'Debit positive, credit negative.';
comment on column public.ledger_entries.event_at is 'When it happened by the network''s account; recorded_at: when we knew.';
create index ledger_entries_transaction_id_idx on public.ledger_entries (transaction_id);
create index ledger_entries_conversion_id_idx on public.ledger_entries (conversion_id, event_at);
create index ledger_entries_payment_id_idx on public.ledger_entries (payment_id);
create index ledger_entries_currency_idx on public.ledger_entries (currency, account);

create table public.settlements (
  payment_id uuid not null constraint settlements_pkey primary key constraint settlements_payment_id_fkey
    references public.payments (id) on delete restrict,
  due_minor bigint not null,
  conversions integer not null,
  meets boolean not null,
  updated_at timestamptz not null default now()
);
comment on table public.settlements is
  'What each payment should have been, of how many conversions, and whether it is that. Follows from reports and payments.';
create trigger settlements_updated_at before update on public.settlements
  for each row execute function public.update_updated_at_column();

create table public.exceptions (
  id uuid not null constraint exceptions_pkey primary key,
  kind text not null,
  conversion_id uuid constraint exceptions_conversion_id_fkey references public.conversions (id) on delete restrict,
  payment_id uuid constraint exceptions_payment_id_fkey references public.payments (id) on delete restrict,
  detail text not null,
  concerns_on date not null,
  opened_at timestamptz not null default now(),
  closed_at timestamptz,
  constraint exceptions_kind check (kind in ('transition', 'short_payment', 'over_payment', 'payment_without_rows')),
  constraint exceptions_subject check ((conversion_id is null) <> (payment_id is null))
);
comment on table public.exceptions is
  'What needs a person: reports that fit no transition, and payments that do not meet their rows. Closed when it no longer holds.';
comment on column public.exceptions.id is 'Follows from the subject and the detail.';
comment on column public.exceptions.concerns_on is 'The day of the order, or the last day of the payment''s period.';
create index exceptions_conversion_id_idx on public.exceptions (conversion_id);
create index exceptions_payment_id_idx on public.exceptions (payment_id);
create index exceptions_open_idx on public.exceptions (opened_at, id) where closed_at is null;

alter table public.conversion_reports enable row level security;
alter table public.payments enable row level security;
alter table public.advertisers enable row level security;
alter table public.conversion_clicks enable row level security;
alter table public.conversions enable row level security;
alter table public.ledger_entries enable row level security;
alter table public.settlements enable row level security;
alter table public.exceptions enable row level security;

create index affiliate_clicks_retailer_time_idx on public.affiliate_clicks (retailer_id, click_timestamp);
drop index public.affiliate_clicks_retailer_id_idx;
