-- Rates by which the ledger is read in the reporting currency; rows are only added.

create table public.exchange_rates (
  id uuid not null default private.uuid_v7() constraint exchange_rates_pkey primary key,
  rate_on date not null,
  currency char(3) not null constraint exchange_rates_currency_fkey
    references public.currencies (code) on delete restrict,
  reporting_currency char(3) not null constraint exchange_rates_reporting_currency_fkey
    references public.currencies (code) on delete restrict,
  rate numeric(20, 10) not null,
  source text not null,
  recorded_at timestamptz not null default clock_timestamp(),
  constraint exchange_rates_source_key unique (currency, reporting_currency, rate_on, source),
  constraint exchange_rates_rate_positive check (rate > 0),
  constraint exchange_rates_source_length check (char_length(source) between 1 and 200)
);
comment on table public.exchange_rates is
  'What one unit of a currency is worth in the reporting currency. The newest rate that is not later than a posting counts.';
create index exchange_rates_reporting_currency_idx on public.exchange_rates (reporting_currency);
alter table public.exchange_rates enable row level security;
