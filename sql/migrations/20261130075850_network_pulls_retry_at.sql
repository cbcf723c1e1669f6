-- When a network that failed wants to be asked again: docs/pulls.md.
alter table public.network_pulls add column retry_at timestamptz;
comment on column public.network_pulls.retry_at is 'Before then the network does not want to be asked again; null: it said nothing.';
