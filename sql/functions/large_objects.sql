-- No role may create large objects: no table refers to one, so neither erasure nor storage limits would cover them. Only
-- a superuser can revoke this: the embedded server does so when it starts; docs/supabase.md describes Supabase.
do $$
begin
  if (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
    revoke execute on function pg_catalog.lo_creat(integer), pg_catalog.lo_create(oid),
      pg_catalog.lo_from_bytea(oid, bytea) from public;
  end if;
end
$$;
