-- One's own keys. The server writes them as service_role once the operation is done: a key identifies its result.
alter table public.idempotency_keys enable row level security;
revoke all on table public.idempotency_keys from public, anon, authenticated, service_role;

grant select on table public.idempotency_keys to anon, authenticated;
drop policy if exists idempotency_keys_own_read on public.idempotency_keys;
create policy idempotency_keys_own_read on public.idempotency_keys for select to anon, authenticated
  using (user_id = (select auth.uid()));

-- A policy of earlier releases.
drop policy if exists idempotency_keys_own_insert on public.idempotency_keys;

grant select, insert, update, delete on table public.idempotency_keys to service_role;
drop policy if exists idempotency_keys_service on public.idempotency_keys;
create policy idempotency_keys_service on public.idempotency_keys for all to service_role
  using (true)
  with check (true);
