-- Pulls: what networks report is read from their APIs. An account is a definition, written by the owner; what is known of
-- its pulls is written by them.
create table public.network_accounts (
  affiliate_network text not null constraint network_accounts_affiliate_network_fkey
    references public.affiliate_networks (code) on delete cascade,
  name text not null,
  publisher_id text not null,
  base_url text,
  secrets jsonb not null default '{}',
  options jsonb not null default '{}',
  mapping jsonb,
  every_seconds integer,
  created_at timestamptz not null default now(),
  constraint network_accounts_pkey primary key (affiliate_network, name),
  constraint network_accounts_name_format check (name ~ '^[a-z0-9]+([-_][a-z0-9]+)*$' and char_length(name) <= 100),
  constraint network_accounts_publisher_id_length check (char_length(publisher_id) between 1 and 200),
  constraint network_accounts_base_url_length check (char_length(base_url) <= 500),
  constraint network_accounts_secrets_are_names check (
    not jsonb_path_exists(secrets, '$.* ? (@.type() != "string" || !(@ like_regex "^SOURCE_[A-Z0-9_]{1,100}$"))')),
  constraint network_accounts_every_range check (every_seconds between 300 and 2678400)
);
comment on table public.network_accounts is
  'Our accounts at affiliate networks, whose reports are pulled; written by aclue network account.';
comment on column public.network_accounts.base_url is 'Of the API, where it is not the network''s own.';
comment on column public.network_accounts.secrets is 'The variables that hold the secrets, by what the client calls them; never their values.';
comment on column public.network_accounts.options is 'Settings of the network''s client, by their names.';
comment on column public.network_accounts.mapping is 'How rows are read, for networks whose rows have no reader of their own.';
comment on column public.network_accounts.every_seconds is 'How often it is pulled; null: by hand only.';
alter table public.network_accounts enable row level security;

create table public.network_watermarks (
  affiliate_network text not null,
  account_name text not null,
  date_type text not null,
  read_until timestamptz not null,
  constraint network_watermarks_pkey primary key (affiliate_network, account_name, date_type),
  constraint network_watermarks_account_fkey foreign key (affiliate_network, account_name)
    references public.network_accounts (affiliate_network, name) on delete cascade,
  constraint network_watermarks_date_type_length check (char_length(date_type) between 1 and 50)
);
comment on table public.network_watermarks is
  'Up to when an account was read by each kind of date: everything before is imported.';
alter table public.network_watermarks enable row level security;

create table public.network_pulls (
  id uuid not null default private.uuid_v7() constraint network_pulls_pkey primary key,
  affiliate_network text not null,
  account_name text not null,
  started_by text not null,
  since timestamptz,
  started_at timestamptz not null default clock_timestamp(),
  seen_at timestamptz not null default clock_timestamp(),
  finished_at timestamptz,
  outcome text not null default 'running',
  failures integer not null default 0,
  requests integer not null default 0,
  windows integer not null default 0,
  new_reports integer not null default 0,
  repeated_reports integer not null default 0,
  ignored_rows integer not null default 0,
  rejected_rows integer not null default 0,
  rejects text[] not null default '{}',
  error text,
  constraint network_pulls_started_by_length check (char_length(started_by) between 1 and 200),
  constraint network_pulls_outcome check (outcome in ('running', 'done', 'failed', 'interrupted')),
  constraint network_pulls_finished check ((outcome in ('done', 'failed')) = (finished_at is not null)),
  constraint network_pulls_rejects_size check (octet_length(rejects::text) <= 20000),
  constraint network_pulls_error_length check (char_length(error) <= 1000)
);
comment on table public.network_pulls is 'Every pull of an account, whether it succeeded or not; kept when the account is removed.';
comment on column public.network_pulls.seen_at is 'When it last did something: one that is killed says nothing more.';
comment on column public.network_pulls.failures is 'Failed pulls of the account in a row, with this one: they are repeated later and later.';
comment on column public.network_pulls.windows is 'Periods that were read in full, each imported in one transaction.';
create index network_pulls_account_idx on public.network_pulls (affiliate_network, account_name, id);
alter table public.network_pulls enable row level security;
