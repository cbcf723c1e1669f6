-- The column goes, with what it holds.
alter table public.network_pulls drop column retry_at;
