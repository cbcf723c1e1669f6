-- Policies, grants, roles and functions in the catalog, which db/verification/ judges. See verify_server.sql.

-- name: row_security_off(schemas)
select format('%I.%I', n.nspname, c.relname) as fault
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any (:schemas::text[]) and c.relkind in ('r', 'p') and not c.relrowsecurity
  and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e');

-- name: without_policy()
select c.relname as fault from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
  and not exists (select from pg_policy p where p.polrelid = c.oid)
  and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e');

-- name: policies(schemas)
select p.schemaname || '.' || p.tablename as "table", p.policyname as name, p.permissive = 'PERMISSIVE' as is_permissive,
  p.cmd as verb, p.roles::text[] as roles, p.qual, p.with_check,
  exists (
    select from pg_attribute a where a.attrelid = c.oid and a.attname = 'user_id'
  ) or p.tablename = 'profiles' as is_personal
from pg_policies p
join pg_namespace n on n.nspname = p.schemaname
join pg_class c on c.relnamespace = n.oid and c.relname = p.tablename
where p.schemaname = any (:schemas::text[]) and not c.relispartition;  -- whose rows are reached through its parent

-- name: grants(schemas)
select case a.grantee when 0 then 'public' else pg_get_userbyid(a.grantee) end as role,
  n.nspname || '.' || c.relname as "table", lower(a.privilege_type) as verb, t.attname as "column", c.relispartition as is_partition
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
cross join lateral (
  select null::text as attname, c.relacl as acl
  union all
  select attname::text, attacl from pg_attribute where attrelid = c.oid and attacl is not null and not attisdropped
) t
cross join lateral aclexplode(t.acl) a
where n.nspname = any (:schemas::text[]) and c.relkind in ('r', 'p', 'v', 'm', 'f')
  and (a.grantee = 0 or pg_get_userbyid(a.grantee) = any (
    array['anon', 'authenticated', 'service_role', 'job_worker', session_user::text]))
  and a.grantee <> c.relowner
  and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e');

-- name: owner_column_writers(roles)
select format('%s may %s %I.user_id', role, lower(verb), c.relname) as fault
from pg_class c
join pg_attribute a on a.attrelid = c.oid and not a.attisdropped
  and a.attname = case when c.relname = 'profiles' then 'id' else 'user_id' end
cross join unnest(:roles::text[]) role cross join unnest(array['INSERT', 'UPDATE']) verb
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
  and has_column_privilege(role, c.oid, a.attnum, verb);

-- name: column_privileges(roles, columns, verbs)
select format('%s may %s %s', role, lower(verb), name) as fault
from unnest(:columns::text[]) name cross join unnest(:roles::text[]) role cross join unnest(:verbs::text[]) verb
join pg_attribute a on not a.attisdropped
join pg_class c on c.oid = a.attrelid and c.relnamespace = 'public'::regnamespace
where c.relname || '.' || a.attname = name and has_column_privilege(role, c.oid, a.attnum, verb);

-- name: schemas_closed(roles)
select format('%s may not use the schema %I', role, n.nspname) as fault
from pg_namespace n cross join unnest(:roles::text[]) role
where n.nspname in ('public', 'private') and not has_schema_privilege(role, n.oid, 'usage');

-- name: creators(roles, schemas)
select format('%s may create things in the schema %I', role, n.nspname) as fault
from pg_namespace n cross join unnest(:roles::text[] || 'public'::text) role
where n.nspname = any (:schemas::text[]) and has_schema_privilege(role, n.oid, 'create')
union all
select format('%s may create schemas', role) from unnest(:roles::text[] || 'public'::text) role
where has_database_privilege(role, current_database(), 'create');

-- name: open_defaults(roles)
with owner as (select relowner as oid from pg_class where oid = 'public.profiles'::regclass)
select format('new %s will be granted to %s', case d.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions' else 'things' end,
  case a.grantee when 0 then 'public' else pg_get_userbyid(a.grantee) end) as fault
from pg_default_acl d join owner o on o.oid = d.defaclrole
cross join lateral aclexplode(d.defaclacl) a
where (d.defaclnamespace = 0 or d.defaclnamespace in ('public'::regnamespace, (select oid from pg_namespace where nspname = 'private')))
  and d.defaclobjtype in ('r', 'S', 'f')
  and (a.grantee = 0 or pg_get_userbyid(a.grantee) = any (:roles::text[]))
union all
select 'new functions will be granted to public'
where not exists (
  select from pg_default_acl d join owner o on o.oid = d.defaclrole where d.defaclnamespace = 0 and d.defaclobjtype = 'f');

-- name: login_powers()
select format('%s %s', session_user, power) as fault
from pg_roles r cross join lateral (values
  (r.rolsuper, 'is a superuser'), (r.rolbypassrls, 'bypasses row level security'), (r.rolcreaterole, 'may create roles'),
  (r.rolcreatedb, 'may create databases'), (r.rolreplication, 'may replicate'),
  (r.rolinherit, 'has all its roles'' rights at once')) p (has, power)
where r.rolname = session_user and p.has;

-- name: login_property()
select format('%s owns %s', session_user,
  case when d.dbid = (select oid from pg_database where datname = current_database())
    then pg_describe_object(d.classid, d.objid, d.objsubid) else 'something elsewhere on the server' end) as fault
from pg_shdepend d join pg_roles r on r.oid = d.refobjid
where d.refclassid = 'pg_authid'::regclass and d.deptype = 'o' and r.rolname = session_user;

-- name: login_disguises()
select format('%s may become %s', session_user, r.rolname) as fault
from pg_roles r
where r.rolname <> session_user and pg_has_role(session_user, r.oid, 'member')
  and (r.rolsuper or (r.rolbypassrls and r.rolname <> 'service_role') or r.rolname ~ '^pg_'
    or r.oid = (select relowner from pg_class where oid = 'public.profiles'::regclass));

-- name: role_powers(is_ours)
select format('%s %s', r.rolname, power) as fault
from pg_roles r cross join lateral (values
  (r.rolsuper, 'is a superuser'), (r.rolcanlogin, 'may log in'), (r.rolcreaterole, 'may create roles'),
  (r.rolcreatedb, 'may create databases'), (r.rolreplication, 'may replicate'),
  -- Supabase's service_role bypasses row level security; the policies let it through anyway.
  (r.rolbypassrls and (:is_ours::boolean or r.rolname <> 'service_role'), 'bypasses row level security')) p (has, power)
where r.rolname in ('anon', 'authenticated', 'service_role', 'job_worker') and p.has
union all
select format('the role %s is missing', wanted)
from unnest(array['anon', 'authenticated', 'service_role', 'job_worker']) wanted
where not exists (select from pg_roles where rolname = wanted);

-- name: role_disguises()
select format('%s has the rights of %s', r.rolname, other.rolname) as fault
from pg_roles r join pg_roles other on other.oid <> r.oid and pg_has_role(r.oid, other.oid, 'member')
where r.rolname in ('anon', 'authenticated', 'service_role', 'job_worker');

-- name: functions(schemas)
select n.nspname as schema, p.proname as name, p.oid::regprocedure::text as signature, p.prosecdef as is_definer,
  coalesce('search_path=pg_catalog, pg_temp' = any (p.proconfig), false) as is_pinned,
  has_function_privilege('public', p.oid, 'execute') as is_public,
  array(select role from unnest(array['anon', 'authenticated', 'service_role', 'job_worker']) role
    where has_function_privilege(role, p.oid, 'execute')) as callers
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname = any (:schemas::text[]) and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e');

-- name: views_of_their_owner(schemas)
select format('%I.%I', n.nspname, c.relname) as fault
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any (:schemas::text[]) and c.relkind = 'v'
  and not coalesce(c.reloptions && array['security_invoker=true', 'security_invoker=on', 'security_invoker=1'], false)
  and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e');

-- name: unfiltered_relations(schemas, roles)
select format('%s may read %I.%I, which row level security cannot filter', role, n.nspname, c.relname) as fault
from pg_class c join pg_namespace n on n.oid = c.relnamespace cross join unnest(:roles::text[]) role
where n.nspname = any (:schemas::text[]) and c.relkind in ('m', 'f') and has_table_privilege(role, c.oid, 'select');

-- name: personal_tables()
select format('%I.%I', n.nspname, c.relname) as name,
  has_any_column_privilege('anon', c.oid, 'select') as is_for_anon,
  has_any_column_privilege('authenticated', c.oid, 'select') as is_for_authenticated
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'public' and c.relkind in ('r', 'p') and not c.relispartition and (c.relname = 'profiles' or exists (
  select from pg_attribute a where a.attrelid = c.oid and a.attname = 'user_id' and a.attnotnull))
order by 1;
