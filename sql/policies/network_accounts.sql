-- Where credentials are sent is the owner's to say; service_role reads it to pull, and nobody else does.
alter table public.network_accounts enable row level security;
revoke all on table public.network_accounts from public, anon, authenticated, service_role;

grant select on table public.network_accounts to service_role;
drop policy if exists network_accounts_service_read on public.network_accounts;
create policy network_accounts_service_read on public.network_accounts for select to service_role
  using (true);
