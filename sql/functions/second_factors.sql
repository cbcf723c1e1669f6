-- Second factors (TOTP) where the auth schema is ours. Secrets are encrypted by the server before they come here.
-- plpgsql resolves names only when it runs, so the bodies may use columns that another auth schema lacks.

create or replace function private.second_factors_of(p_user uuid)
returns table (id uuid, name text, is_verified boolean, created_at timestamptz)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if (p_user = auth.uid() or auth.role() = 'service_role') and pg_catalog.to_regclass('auth.mfa_factors') is not null then
    return query execute
      'select id, friendly_name::text, status::text = ''verified'', created_at from auth.mfa_factors
       where user_id = $1 order by created_at' using p_user;
  end if;
end
$$;
comment on function private.second_factors_of(uuid) is
  'The caller''s own, ours or Supabase''s, without secrets; only service_role may ask about other people.';

create or replace function private.enrol_second_factor(p_user uuid, p_name text, p_secret text, p_most integer)
returns uuid
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  factor uuid;
begin
  perform from auth.users where id = p_user for update;  -- one at a time
  delete from auth.mfa_factors where user_id = p_user and status = 'unverified';
  if (select count(*) from auth.mfa_factors where user_id = p_user) < p_most then
    insert into auth.mfa_factors (user_id, friendly_name, factor_type, secret)
    select u.id, p_name, 'totp', p_secret from auth.users u where u.id = p_user and u.email_confirmed_at is not null
    returning id into factor;
  end if;
  return factor;
end
$$;
comment on function private.enrol_second_factor(uuid, text, text, integer) is
  'Creates a factor to be verified, replacing one that never was; null at the maximum, or if the e-mail is not confirmed.';

create or replace function private.second_factor(p_user uuid, p_id uuid)
returns table (is_verified boolean, secret text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select f.status = 'verified', f.secret from auth.mfa_factors f where f.user_id = p_user and f.id = p_id;
end
$$;

-- Any signed-in session may verify a first factor, but a further one only after showing a factor. None can be verified
-- before the e-mail is confirmed, as it would lock the owner of the address out.
create or replace function private.use_second_factor(p_user uuid, p_id uuid, p_step bigint, p_is_aal2 boolean)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform from auth.users where id = p_user for update;
  update auth.mfa_factors f set
    status = 'verified', last_used_step = p_step, last_challenged_at = now(),
    updated_at = case when status = 'verified' then updated_at else now() end
  where f.user_id = p_user and f.id = p_id and (f.last_used_step is null or f.last_used_step < p_step)
    and (f.status = 'verified' or (
      exists (select from auth.users u where u.id = p_user and u.email_confirmed_at is not null)
      and (p_is_aal2 or not exists (
        select from auth.mfa_factors other where other.user_id = p_user and other.status = 'verified'))));
  return found;
end
$$;
comment on function private.use_second_factor(uuid, uuid, bigint, boolean) is
  'Accepts the code of a time step, once, and verifies a new factor. False if it must not be accepted.';

create or replace function private.remove_second_factor(p_user uuid, p_id uuid, p_is_aal2 boolean) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform from auth.users where id = p_user for update;
  delete from auth.mfa_factors where user_id = p_user and id = p_id and (status = 'unverified' or p_is_aal2);
  if not found then
    return false;
  end if;
  delete from private.recovery_codes c where c.user_id = p_user and not exists (
    select from auth.mfa_factors f where f.user_id = p_user and f.status = 'verified');
  return true;
end
$$;

-- They stand in for a factor that there is.
create or replace function private.replace_recovery_codes(p_user uuid, p_hashes bytea[]) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform from auth.users where id = p_user for update;
  delete from private.recovery_codes where user_id = p_user;
  insert into private.recovery_codes (user_id, code_hash)
  select p_user, h.code_hash from unnest(p_hashes) h (code_hash)
  where exists (select from auth.mfa_factors f where f.user_id = p_user and f.status = 'verified');
  return found;
end
$$;

create or replace function private.use_recovery_code(p_user uuid, p_hash bytea) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from private.recovery_codes where user_id = p_user and code_hash = p_hash;
  return found;
end
$$;

revoke all on function private.second_factors_of(uuid), private.enrol_second_factor(uuid, text, text, integer),
  private.second_factor(uuid, uuid), private.use_second_factor(uuid, uuid, bigint, boolean),
  private.remove_second_factor(uuid, uuid, boolean), private.replace_recovery_codes(uuid, bytea[]),
  private.use_recovery_code(uuid, bytea) from public, anon, authenticated;
grant execute on function private.enrol_second_factor(uuid, text, text, integer), private.second_factor(uuid, uuid),
  private.use_second_factor(uuid, uuid, bigint, boolean), private.remove_second_factor(uuid, uuid, boolean),
  private.replace_recovery_codes(uuid, bytea[]), private.use_recovery_code(uuid, bytea) to service_role;
grant execute on function private.second_factors_of(uuid) to anon, authenticated, service_role;
