-- Signs of fraud: sales that are flagged and held until a person releases them. The ledger does not read them.
-- squawk-ignore-file constraint-missing-not-valid, adding-foreign-key-constraint, require-concurrent-index-creation

create table public.conversion_flags (
  id uuid not null constraint conversion_flags_pkey primary key,
  conversion_id uuid not null constraint conversion_flags_conversion_id_fkey
    references public.conversions (id) on delete restrict,
  kind text not null,
  detail text not null,
  click_id uuid,
  flagged_at timestamptz not null default now(),
  cleared_at timestamptz,
  released_at timestamptz,
  release_reason text,
  is_held boolean not null generated always as (cleared_at is null and released_at is null) stored,
  constraint conversion_flags_kind check (kind in ('duplicate_order', 'early_sale', 'visitor_clicks', 'network_clicks',
    'visitor_sales', 'network_sales', 'own_gift_link', 'click_spike', 'manual')),
  constraint conversion_flags_detail_length check (char_length(detail) between 1 and 1000),
  constraint conversion_flags_release_reason_length check (char_length(release_reason) between 1 and 1000),
  constraint conversion_flags_release check ((released_at is null) = (release_reason is null))
);
comment on table public.conversion_flags is
  'Why sales are suspicious. A sale is held while one of its flags is neither cleared nor released. Rows are never deleted.';
comment on column public.conversion_flags.id is 'Follows from the sale and the facts; a hold by hand has a random one.';
comment on column public.conversion_flags.click_id is
  'The click that the sale had when it was flagged. No foreign key: the click goes with its person, the sale stays.';
comment on column public.conversion_flags.released_at is 'When a person released it; who, is in the audit log.';
comment on column public.conversion_flags.cleared_at is 'When the facts had changed, so that it no longer held.';
create index conversion_flags_conversion_id_idx on public.conversion_flags (conversion_id, flagged_at);
create index conversion_flags_newest_idx on public.conversion_flags (flagged_at, id);
alter table public.conversion_flags enable row level security;

alter table public.conversions add column is_held boolean not null default false;
comment on column public.conversions.is_held is
  'Whether one of its flags holds it back from what is learnt of it, and from payouts. The figures do not depend on it.';
create index conversions_updated_at_idx on public.conversions (updated_at);

alter table public.conversion_reports add column order_id text,
  add constraint conversion_reports_order_id_length check (char_length(order_id) between 1 and 200);
comment on column public.conversion_reports.order_id is 'The shop''s number of the order, where the network passes it on.';
create index conversion_reports_order_id_idx on public.conversion_reports (order_id) where order_id is not null;

alter table public.affiliate_redirects
  add column network_hash bytea,
  add constraint affiliate_redirects_network_hash_length check (octet_length(network_hash) = 16);
comment on column public.affiliate_redirects.network_hash is
  'Keyed hash of the /24 (IPv6: /48) of the visitor, with a key per day (UTC); null where visitor_hash is.';
