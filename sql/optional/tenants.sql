-- Tenants: every person and every row of theirs belongs to at most one, which the account's app_metadata.tenant_id names.
-- Optional: `aclue migrate` does not run this. See docs/tenants.md. Harmless to run again, as after every migration that
-- adds a table of people.
begin;
set local lock_timeout = '5s';

create or replace function private.tenant_id() returns uuid
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select tenant::uuid
  from (select auth.jwt() -> 'app_metadata' ->> 'tenant_id') token (tenant)
  where tenant ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'
$$;
comment on function private.tenant_id() is 'The tenant that the caller''s token names; null for none, or for no uuid.';
revoke all on function private.tenant_id() from public;
grant execute on function private.tenant_id() to anon, authenticated, service_role;

create or replace function private.tenant_of_account(p_metadata jsonb) returns uuid
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select (p_metadata ->> 'tenant_id')::uuid
  where p_metadata ->> 'tenant_id' ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'
$$;
revoke all on function private.tenant_of_account(jsonb) from public, anon, authenticated, service_role;

-- A profile belongs to the tenant of its account, a row to the tenant of its person; callers cannot choose it.
create or replace function private.set_tenant() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_table_name = 'profiles' then
    new.tenant_id := (select private.tenant_of_account(u.raw_app_meta_data) from auth.users u where u.id = new.id);
  else
    new.tenant_id := (select p.tenant_id from public.profiles p where p.id = new.user_id);
  end if;
  return new;
end
$$;
revoke all on function private.set_tenant() from public, anon, authenticated, service_role;

-- An account that moves takes its rows along.
create or replace function private.move_tenant() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  personal regclass;
begin
  if tg_table_schema = 'auth' then
    update public.profiles set tenant_id = private.tenant_of_account(new.raw_app_meta_data) where id = new.id;
    return null;
  end if;
  foreach personal in array private.personal_tables() loop
    execute pg_catalog.format('update %s set tenant_id = $1 where user_id = $2', personal) using new.tenant_id, new.id;
  end loop;
  return null;
end
$$;
revoke all on function private.move_tenant() from public, anon, authenticated, service_role;

create or replace function private.personal_tables() returns regclass[]
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select pg_catalog.array_agg(c.oid::regclass order by c.relname)
  from pg_catalog.pg_class c join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attname = 'user_id'
  where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
    and not a.attisdropped
$$;
revoke all on function private.personal_tables() from public, anon, authenticated, service_role;

do $$
declare
  personal regclass;
begin
  foreach personal in array 'public.profiles'::regclass || private.personal_tables() loop
    execute format('alter table %s add column if not exists tenant_id uuid', personal);
    -- Restrictive: access stays within the tenant, whatever other policies allow, one of which must still allow it.
    execute format('drop policy if exists tenant on %s', personal);
    execute format(
      'create policy tenant on %s as restrictive for all to anon, authenticated'
      ' using (tenant_id is not distinct from (select private.tenant_id()))'
      ' with check (tenant_id is not distinct from (select private.tenant_id()))', personal);
    execute format('create or replace trigger set_tenant before insert or update of %s on %s'
      ' for each row execute function private.set_tenant()',
      case when personal = 'public.profiles'::regclass then 'id' else 'user_id' end, personal);
  end loop;
end
$$;

create index if not exists profiles_tenant_id_idx on public.profiles (tenant_id);
create or replace trigger move_tenant after update of tenant_id on public.profiles
  for each row when (old.tenant_id is distinct from new.tenant_id) execute function private.move_tenant();
create or replace trigger aclue_tenant_changed after update of raw_app_meta_data on auth.users
  for each row when (old.raw_app_meta_data ->> 'tenant_id' is distinct from new.raw_app_meta_data ->> 'tenant_id')
  execute function private.move_tenant();

-- People from before.
update public.profiles p set tenant_id = private.tenant_of_account(u.raw_app_meta_data)
from auth.users u
where u.id = p.id and p.tenant_id is distinct from private.tenant_of_account(u.raw_app_meta_data);

commit;
