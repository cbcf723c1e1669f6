-- Commissions that are pending for too long, and payments that do not meet their rows, said once each.
-- squawk-ignore-file adding-foreign-key-constraint, constraint-missing-not-valid, require-concurrent-index-creation

alter table public.affiliate_networks
  add column overdue_days integer not null default 90
    constraint affiliate_networks_overdue_days_range check (overdue_days between 1 and 1000);
comment on column public.affiliate_networks.overdue_days is
  'After how many days a commission that is still pending is overdue: a bit more than the network usually takes to decide.';
update public.affiliate_networks n set overdue_days = d.days
from (values ('awin', 60), ('cj', 60), ('ebay', 45), ('impact', 60), ('rakuten', 60)) d (code, days)
where n.code = d.code;

create table public.alerts (
  id uuid not null default private.uuid_v7() constraint alerts_pkey primary key,
  kind text not null,
  affiliate_network text not null constraint alerts_affiliate_network_fkey
    references public.affiliate_networks (code) on delete cascade,
  advertiser_id text not null,
  month date not null,
  currency char(3) not null constraint alerts_currency_fkey references public.currencies (code) on delete restrict,
  amount_minor bigint not null,
  conversions integer not null,
  opened_at timestamptz not null default now(),
  closed_at timestamptz,
  constraint alerts_kind check (kind in ('overdue', 'variance')),
  constraint alerts_subject_key unique (affiliate_network, advertiser_id, month, currency, kind)
);
comment on table public.alerts is
  'What needs a look, by advertiser, month of the orders (UTC) and currency; closed when it no longer holds.';
comment on column public.alerts.amount_minor is 'overdue: what is pending for too long. variance: paid less due.';
create index alerts_currency_idx on public.alerts (currency);
create index alerts_open_idx on public.alerts (opened_at) where closed_at is null;
create index conversions_pending_idx on public.conversions (affiliate_network, ordered_at)
  where status in ('pending', 'amended');
create index conversions_variance_idx on public.conversions (affiliate_network, ordered_at) where variance_minor <> 0;

alter table public.alerts enable row level security;
