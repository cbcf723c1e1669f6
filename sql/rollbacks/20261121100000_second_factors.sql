-- Second factors go. private.has_mfa() says false where there is no table.

do $$
begin
  if obj_description('auth'::regnamespace, 'pg_namespace') = 'aclue' then
    drop table auth.mfa_factors;
  end if;
end
$$;
