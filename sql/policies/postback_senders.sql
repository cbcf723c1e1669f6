-- Secrets, if hashed: service_role only.
alter table public.postback_senders enable row level security;
revoke all on table public.postback_senders from public, anon, authenticated, service_role;

grant select, insert (id, affiliate_network, name, secret_hash, sealed_key, addresses, mapping),
  update (mapping, received_on, received_bytes, revoked_at) on table public.postback_senders to service_role;
drop policy if exists postback_senders_service_read on public.postback_senders;
create policy postback_senders_service_read on public.postback_senders for select to service_role
  using (true);
drop policy if exists postback_senders_service_write on public.postback_senders;
create policy postback_senders_service_write on public.postback_senders for insert to service_role
  with check (true);
drop policy if exists postback_senders_service_change on public.postback_senders;
create policy postback_senders_service_change on public.postback_senders for update to service_role
  using (true)
  with check (true);
