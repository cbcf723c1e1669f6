-- Decisions: finance and administrators read them, service_role adds, nobody changes or deletes.
alter table public.ledger_decisions enable row level security;
revoke all on table public.ledger_decisions from public, anon, authenticated, service_role;

grant select on table public.ledger_decisions to authenticated;
drop policy if exists ledger_decisions_finance_read on public.ledger_decisions;
create policy ledger_decisions_finance_read on public.ledger_decisions for select to authenticated
  using ((select private.app_role()) in ('finance', 'admin'));

grant select, insert on table public.ledger_decisions to service_role;
drop policy if exists ledger_decisions_service_read on public.ledger_decisions;
create policy ledger_decisions_service_read on public.ledger_decisions for select to service_role
  using (true);
drop policy if exists ledger_decisions_service_write on public.ledger_decisions;
create policy ledger_decisions_service_write on public.ledger_decisions for insert to service_role
  with check (true);
