-- One's own keys: written once, never changed. user_id is filled from the token.
alter table public.idempotency_keys enable row level security;
revoke all on table public.idempotency_keys from public, anon, authenticated, service_role;

grant select on table public.idempotency_keys to anon, authenticated;
drop policy if exists idempotency_keys_own_read on public.idempotency_keys;
create policy idempotency_keys_own_read on public.idempotency_keys for select to anon, authenticated
  using (user_id = (select auth.uid()));

grant insert (operation, key, request_hash, result_id)
  on table public.idempotency_keys to anon, authenticated;
drop policy if exists idempotency_keys_own_insert on public.idempotency_keys;
create policy idempotency_keys_own_insert on public.idempotency_keys for insert to anon, authenticated
  with check (user_id = (select auth.uid()));

grant select, insert, update, delete on table public.idempotency_keys to service_role;
drop policy if exists idempotency_keys_service on public.idempotency_keys;
create policy idempotency_keys_service on public.idempotency_keys for all to service_role
  using (true)
  with check (true);
