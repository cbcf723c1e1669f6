-- Nobody makes large objects: no table of ours refers to one, so that no erasure and no limit of storage would find them.
-- Only a superuser may take that away: the embedded server does so when it starts, docs/supabase.md says what holds there.
do $$
begin
  if (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
    revoke execute on function pg_catalog.lo_creat(integer), pg_catalog.lo_create(oid),
      pg_catalog.lo_from_bytea(oid, bytea) from public;
  end if;
end
$$;
