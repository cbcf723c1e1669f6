-- Whether feeds are to be fetched now; the fetching is the owner's: services/import_sources.py.
create or replace function private.due_import_sources() returns integer
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select count(*)::integer from private.import_sources where next_at <= now()
$$;
comment on function private.due_import_sources() is 'How many sources of feeds are due.';
revoke all on function private.due_import_sources() from public, anon, authenticated;
grant execute on function private.due_import_sources() to service_role;
