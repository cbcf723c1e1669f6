-- With search_path = '' the schema of temporary objects is still searched, and first: whoever may make temporary types
-- could put one in the place of jsonb, and its checks would run with the rights of the owner of a function. Named last, it
-- hides nothing. And nobody but the owner needs temporary objects at all.
do $$
declare
  f regprocedure;
begin
  for f in
    select p.oid::regprocedure from pg_catalog.pg_proc p
    where p.pronamespace in ('private'::regnamespace, 'public'::regnamespace, 'auth'::regnamespace)
      and p.proconfig @> array['search_path=""'] and pg_catalog.pg_has_role(p.proowner, 'usage')
  loop
    execute pg_catalog.format('alter routine %s set search_path = pg_catalog, pg_temp', f);
  end loop;
  if pg_catalog.pg_has_role((select datdba from pg_catalog.pg_database where datname = current_database()), 'usage') then
    execute pg_catalog.format('revoke temporary on database %I from public', current_database());
  end if;
end
$$;
