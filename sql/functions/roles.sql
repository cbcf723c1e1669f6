-- Admins, analysts and finance: app_metadata.role of the log-in, ours or Supabase's, from which tokens take it.
-- plpgsql resolves names only when it runs, so the bodies may use columns that another auth schema lacks.

drop function if exists private.change_role(text, text, boolean, uuid);  -- of an earlier release
create or replace function private.change_role(
  p_canonical text, p_spellings text[], p_role text, p_is_granted boolean, p_actor uuid)
returns table (outcome text, person_id uuid, app_role text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  person public.profiles;
  metadata jsonb;
  new_metadata jsonb;
begin
  -- One at a time: of two admins who take the role from each other at once, the second sees what the first has done.
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('app roles', 0));
  if p_actor is not null and not exists (
    select from auth.users u where u.id = p_actor and u.raw_app_meta_data ->> 'role' = 'admin')
  then
    return query select 'not admin', null::uuid, null::text;
    return;
  end if;
  select * into person from public.profiles p
  where p.id = private.person_of_email(p_canonical, p_spellings) and not p.is_anonymous;
  select u.raw_app_meta_data into metadata from auth.users u where u.id = person.id for update;
  if not found then
    return query select 'unknown', null::uuid, null::text;
    return;
  end if;
  metadata := coalesce(metadata, '{}');
  if (metadata ->> 'role' is not distinct from p_role) = p_is_granted then
    return query select 'unchanged', person.id, metadata ->> 'role';
    return;
  end if;
  -- Somebody may have signed up with an e-mail that is not theirs.
  if p_is_granted and person.email_verified_at is null then
    return query select 'unverified', person.id, metadata ->> 'role';
    return;
  end if;
  if metadata ->> 'role' = 'admin' and not exists (
    select from auth.users u join public.profiles p on p.id = u.id
    where u.raw_app_meta_data ->> 'role' = 'admin' and u.id <> person.id and not p.is_anonymous)
  then
    return query select 'last admin', person.id, metadata ->> 'role';
    return;
  end if;
  new_metadata := case when p_is_granted then metadata || pg_catalog.jsonb_build_object('role', p_role)
    else metadata - 'role' end;
  update auth.users u set raw_app_meta_data = new_metadata, updated_at = now() where u.id = person.id;
  -- Where the table is ours its trigger writes the entry.
  if not private.accounts_are_ours() then
    insert into public.audit_log (actor, person_id, app_role, request_id, operation, table_name, row_key, changes)
    values (
      auth.uid(), person.id, private.acting_app_role(),
      nullif(left(pg_catalog.current_setting('aclue.request_id', true), 64), ''),
      'update', 'auth.users', pg_catalog.jsonb_build_object('id', person.id),
      pg_catalog.jsonb_build_object('raw_app_meta_data', pg_catalog.jsonb_build_object('old', metadata, 'new', new_metadata)));
  end if;
  return query select 'changed', person.id, new_metadata ->> 'role';
exception when insufficient_privilege or undefined_table or undefined_column then
  if private.accounts_are_ours() then
    raise;
  end if;
  return query select 'elsewhere', null::uuid, null::text;
end
$$;
comment on function private.change_role(text, text[], text, boolean, uuid) is
  'Grants or revokes admin, analyst or finance: changed, unchanged, or why not. p_actor must be admin now, whatever their token says; null: the operator.';

create or replace function private.people_with_roles() returns table (email text, app_role text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select coalesce(p.email, u.email::text), u.raw_app_meta_data ->> 'role'
    from auth.users u join public.profiles p on p.id = u.id
    where u.raw_app_meta_data ->> 'role' in ('admin', 'analyst', 'finance') and not p.is_anonymous
    order by 2, 1;
end
$$;
comment on function private.people_with_roles() is 'People with a role, for the operator.';

revoke all on function private.change_role(text, text[], text, boolean, uuid), private.people_with_roles()
  from public, anon, authenticated, service_role;
grant execute on function private.change_role(text, text[], text, boolean, uuid) to service_role;
