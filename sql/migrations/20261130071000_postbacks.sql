-- What networks and own senders push: docs/money.md#postbacks.
-- squawk-ignore-file adding-foreign-key-constraint, constraint-missing-not-valid

create table public.postback_senders (
  id uuid not null default private.uuid_v7() constraint postback_senders_pkey primary key,
  affiliate_network text not null constraint postback_senders_affiliate_network_fkey
    references public.affiliate_networks (code) on delete cascade,
  name text not null,
  secret_hash bytea not null,
  sealed_key bytea,
  addresses cidr[] not null default '{}',
  mapping jsonb,
  received_on date,
  received_bytes bigint not null default 0,
  created_at timestamptz not null default now(),
  revoked_at timestamptz,
  constraint postback_senders_secret_hash_key unique (secret_hash),
  constraint postback_senders_secret_hash_length check (octet_length(secret_hash) = 32),
  constraint postback_senders_name_length check (char_length(name) between 1 and 100),
  constraint postback_senders_addresses_count check (cardinality(addresses) <= 200),
  constraint postback_senders_mapping_size check (octet_length(mapping::text) <= 20000)
);
comment on table public.postback_senders is 'Who may send postbacks of a network, each with a secret of its own.';
comment on column public.postback_senders.secret_hash is 'SHA-256 of the secret of the URL, or of the id in it, where messages are signed.';
comment on column public.postback_senders.sealed_key is
  'The key of its signatures, encrypted (domain/sealing.py); null: the secret is enough.';
comment on column public.postback_senders.addresses is 'Where it sends from; empty: anywhere.';
comment on column public.postback_senders.mapping is 'How its messages are read; null: as the network is known to send them.';
comment on column public.postback_senders.received_bytes is 'On the day received_on (UTC): bounds what a day stores.';
create index postback_senders_affiliate_network_idx on public.postback_senders (affiliate_network);

create table public.postbacks (
  id uuid not null default private.uuid_v7() constraint postbacks_pkey primary key,
  sender_id uuid not null constraint postbacks_sender_id_fkey
    references public.postback_senders (id) on delete cascade,
  content_hash bytea not null,
  content_type text not null,
  query bytea,
  body bytea,
  status text not null default 'waiting',
  attempts integer not null default 0,
  reports integer,
  error text,
  received_at timestamptz not null default now(),
  next_attempt_at timestamptz default now(),
  constraint postbacks_content_key unique (sender_id, content_hash),
  constraint postbacks_status check (status in ('waiting', 'done', 'failed')),
  constraint postbacks_waits check ((status = 'waiting') = (next_attempt_at is not null)),
  constraint postbacks_content_type_length check (char_length(content_type) <= 200),
  constraint postbacks_error_length check (char_length(error) <= 2000)
);
comment on table public.postbacks is
  'What was received, until RETENTION_POSTBACKS. Query and body are emptied once the ledger has their reports.';
comment on column public.postbacks.content_hash is 'Of what was sent, signature and its time included: a repeat is stored once.';
comment on column public.postbacks.reports is 'How many it held, known ones included.';
create index postbacks_next_attempt_at_idx on public.postbacks (next_attempt_at) where status = 'waiting';
create index postbacks_received_at_idx on public.postbacks (received_at);
create index postbacks_failed_idx on public.postbacks (received_at) where status = 'failed';

alter table public.postback_senders enable row level security;
alter table public.postbacks enable row level security;
