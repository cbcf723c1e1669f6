-- Who asks is asked by every policy and by defaults, row by row: without a search_path of their own, which bodies parsed
-- here do not need, these functions become part of the statement, and the id is not searched for in all the claims.
-- Supabase's functions, which read the same settings in the same order, stay as they are.
do $$
begin
  if pg_catalog.obj_description('auth'::regnamespace, 'pg_namespace') = 'aclue' then
    create or replace function auth.uid() returns uuid language sql stable
      return coalesce(
        nullif(current_setting('request.jwt.claim.sub', true), ''),
        nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', ''))::uuid;

    create or replace function auth.role() returns text language sql stable
      return coalesce(
        nullif(current_setting('request.jwt.claim.role', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role');
  end if;
end
$$;
