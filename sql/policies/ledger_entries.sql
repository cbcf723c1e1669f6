-- Postings: finance and administrators read them, service_role adds, nobody changes or deletes.
alter table public.ledger_entries enable row level security;
revoke all on table public.ledger_entries from public, anon, authenticated, service_role;

grant select on table public.ledger_entries to authenticated;
drop policy if exists ledger_entries_staff_read on public.ledger_entries;  -- of an earlier release
drop policy if exists ledger_entries_finance_read on public.ledger_entries;
create policy ledger_entries_finance_read on public.ledger_entries for select to authenticated
  using ((select private.app_role()) in ('finance', 'admin'));

grant select, insert on table public.ledger_entries to service_role;
drop policy if exists ledger_entries_service_read on public.ledger_entries;
create policy ledger_entries_service_read on public.ledger_entries for select to service_role
  using (true);
drop policy if exists ledger_entries_service_write on public.ledger_entries;
create policy ledger_entries_service_write on public.ledger_entries for insert to service_role
  with check (true);
