-- An export is fetched once, from a signed address: docs/privacy.md. Nullable and without a default: no row is rewritten.
alter table public.privacy_requests add column if not exists fetched_at timestamptz;
comment on column public.privacy_requests.fetched_at is
  'When the export was fetched: its address works once. Null for one that was not fetched, and for an erasure.';
