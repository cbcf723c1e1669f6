alter table public.network_pulls drop column retry_at;
