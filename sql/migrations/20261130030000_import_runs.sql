-- Every import, what it changed, and which import last set a product.

create table public.import_runs (
  id uuid default private.uuid_v7() constraint import_runs_pkey primary key,
  number bigint generated always as identity constraint import_runs_number_key unique,
  started_at timestamptz not null default now(),
  finished_at timestamptz,
  outcome text not null default 'running'
    constraint import_runs_outcome check (outcome in ('running', 'done', 'not_modified', 'failed', 'interrupted')),
  started_by text not null,
  source text,
  file_name text,
  file_bytes bigint,
  file_hash text,
  mapping jsonb,
  counts jsonb,
  error text,
  undoes_id uuid constraint import_runs_undoes_id_fkey references public.import_runs (id) on delete restrict,
  undone_by_id uuid constraint import_runs_undone_by_id_fkey references public.import_runs (id) on delete restrict,
  is_forgotten boolean not null default false,
  constraint import_runs_finished check ((outcome = 'running') = (finished_at is null)),
  constraint import_runs_file_hash_format check (file_hash ~ '^[0-9a-f]{64}$')
);
comment on table public.import_runs is 'Imports of product feeds, and what took them back.';
comment on column public.import_runs.number is 'Names the run to people: aclue import undo NUMBER.';
comment on column public.import_runs.file_hash is 'SHA-256 of the file as it was given, packed or not; in hexadecimal.';
comment on column public.import_runs.mapping is 'As it was applied; it names variables with secrets, never their values.';
comment on column public.import_runs.undone_by_id is 'The run that took this one back; null again once that one was taken back.';
comment on column public.import_runs.is_forgotten is 'Its changes are too old and are deleted: it can no longer be taken back.';
create index import_runs_undoes_id_idx on public.import_runs (undoes_id);
create index import_runs_undone_by_id_idx on public.import_runs (undone_by_id);

create table private.import_changes (
  run_id uuid not null constraint import_changes_run_id_fkey references public.import_runs (id) on delete cascade,
  number bigint generated always as identity,
  table_name text not null,
  operation text not null constraint import_changes_operation check (operation in ('insert', 'update', 'delete')),
  row_key jsonb not null,
  before jsonb,
  after jsonb,
  fingerprint bigint,
  constraint import_changes_pkey primary key (run_id, table_name, row_key, number),
  constraint import_changes_images check (
    (before is null) = (operation = 'insert') and (after is null) = (operation <> 'update'))
);
comment on table private.import_changes is 'The rows that imports changed; written by private.record_import().';
comment on column private.import_changes.before is 'The changed columns of an update, all columns of a deleted row.';
comment on column private.import_changes.fingerprint is 'A hash of the row after the change: whether it is as the run left it.';
alter table private.import_changes enable row level security;

create table public.product_origins (
  product_id uuid constraint product_origins_pkey primary key
    constraint product_origins_product_id_fkey references public.products (id) on delete cascade,
  run_id uuid not null constraint product_origins_run_id_fkey references public.import_runs (id) on delete cascade,
  line bigint
);
comment on table public.product_origins is 'The import that last set a product.';
comment on column public.product_origins.line is 'The line of the feed; null if the feed no longer named the product.';
create index product_origins_run_id_idx on public.product_origins (run_id);
