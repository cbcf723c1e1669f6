-- The record of pulls: written by them, and removed when it is old.
alter table public.network_pulls enable row level security;
revoke all on table public.network_pulls from public, anon, authenticated, service_role;

grant select, delete on table public.network_pulls to service_role;
grant insert (affiliate_network, account_name, started_by, since) on table public.network_pulls to service_role;
grant update (seen_at, finished_at, outcome, failures, requests, windows, new_reports, repeated_reports, ignored_rows,
  rejected_rows, rejects, error, retry_at) on table public.network_pulls to service_role;
drop policy if exists network_pulls_service on public.network_pulls;
create policy network_pulls_service on public.network_pulls for all to service_role
  using (true)
  with check (true);
