-- One's own signals, to read; written by private.sync_signals().
alter table public.product_signals enable row level security;
revoke all on table public.product_signals from public, anon, authenticated, service_role;

grant select on table public.product_signals to anon, authenticated;
drop policy if exists product_signals_own_read on public.product_signals;
create policy product_signals_own_read on public.product_signals for select to anon, authenticated
  using (user_id = (select auth.uid()));

grant select, insert, update, delete on table public.product_signals to service_role;
drop policy if exists product_signals_service on public.product_signals;
create policy product_signals_service on public.product_signals for all to service_role
  using (true)
  with check (true);
