-- The files applied to this database, for a server that checks whether it matches; only the owner can read the table.

create or replace function private.applied_migrations() returns table (name text, checksum text)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select f.name, f.checksum from private.applied_files f
$$;
comment on function private.applied_migrations() is 'Forward and repeatable files with their checksums.';

revoke all on function private.applied_migrations() from public, anon, authenticated;
grant execute on function private.applied_migrations() to service_role;
