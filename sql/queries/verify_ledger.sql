-- The ledger's guards and balances, for db/verification/ledger.py. See verify_server.sql.

-- name: unguarded(tables)
-- Bits of tgtype: 2 before, 8 delete, 16 update, 32 truncate. A trigger with a condition or of some columns guards nothing.
select format('%s of public.%I is refused by no trigger that always fires', v.verb, t.name) as fault
from unnest(:tables::text[]) t (name)
cross join (values ('update', 16), ('delete', 8), ('truncate', 32)) v (verb, bit)
where not exists (
  select from pg_trigger g join pg_proc p on p.oid = g.tgfoid
  where g.tgrelid = to_regclass('public.' || t.name) and g.tgtype & v.bit <> 0 and g.tgtype & 2 <> 0 and g.tgenabled = 'A'
    and g.tgqual is null and g.tgattr = ''::int2vector
    and p.pronamespace = 'private'::regnamespace and p.proname in ('refuse_change', 'keep_report'));

-- name: without_guard()
select 'ledger_entries_balanced is missing, or does not always fire' as fault
where not exists (
  select from pg_trigger g join pg_proc p on p.oid = g.tgfoid
  where g.tgrelid = to_regclass('public.ledger_entries') and g.tgenabled = 'A' and g.tginitdeferred and g.tgqual is null
    and g.tgtype & 4 <> 0 and p.pronamespace = 'private'::regnamespace and p.proname = 'require_balance');

-- name: changed_functions(names, bodies)
select format('private.%s() is not what the release installs', w.name) as fault
from unnest(:names::text[], :bodies::text[]) w (name, body)
where not exists (
  select from pg_proc p
  where p.pronamespace = 'private'::regnamespace and p.proname = w.name and p.pronargs = 0 and p.prosrc = w.body);

-- name: off_balance()
select format('transaction %s is off by %s minor units of %s', transaction_id, sum(amount_minor), currency) as fault
from public.ledger_entries group by transaction_id, currency having sum(amount_minor) <> 0
order by transaction_id limit 20;
