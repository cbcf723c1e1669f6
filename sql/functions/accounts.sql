-- Log-ins, if the auth schema is ours. Only service_role may call these functions, as hashes pass through them.

create or replace function private.accounts_are_ours() returns boolean
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(pg_catalog.obj_description('auth'::regnamespace, 'pg_namespace') = 'aclue', false)
$$;

create or replace function private.session_id() returns uuid
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select nullif(auth.jwt() ->> 'session_id', '')::uuid
$$;
comment on function private.session_id() is 'The session of the caller''s token; null if it names none.';

create or replace function private.is_aal2() returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(auth.jwt() ->> 'aal' = 'aal2', false)
$$;
comment on function private.is_aal2() is 'Whether the caller has shown a second factor.';

-- The table is Supabase's or ours; it does not exist if another service manages the accounts.
create or replace function private.has_mfa(p_user uuid) returns boolean
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  has_factor boolean := false;
begin
  if (p_user = auth.uid() or auth.role() = 'service_role') and pg_catalog.to_regclass('auth.mfa_factors') is not null then
    execute 'select exists (select from auth.mfa_factors where user_id = $1 and status::text = ''verified'')'
      into has_factor using p_user;
  end if;
  return has_factor;
end
$$;
comment on function private.has_mfa(uuid) is
  'Whether the caller has a verified second factor; only service_role may ask about other people.';

create or replace function private.app_role() returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select case when auth.role() = 'authenticated' and coalesce(auth.jwt() ->> 'is_anonymous', '') <> 'true'
      and auth.jwt() -> 'app_metadata' ->> 'role' is not null
      -- Looked up for a token with a role alone.
      and (private.is_aal2() or not private.has_mfa(auth.uid()))
      -- A token without a session is of the operator's making, perhaps for no person. The planner would evaluate a bare
      -- auth.uid(), which fails for a subject that is no uuid.
      and (auth.jwt() ->> 'session_id' is null or exists (select from public.profiles p where p.id = (select auth.uid())))
    then auth.jwt() -> 'app_metadata' ->> 'role' end
$$;
comment on function private.app_role() is
  'analyst, finance, admin or null: the role in the caller''s app_metadata. Null if the caller has a second factor and has not '
  'shown it, if the person of a session was deleted, and for Supabase''s anonymous sign-in.';

create or replace function private.acting_app_role() returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(private.app_role(), case
    when auth.role() = 'service_role' and auth.uid() is not null and (private.is_aal2() or not private.has_mfa(auth.uid()))
    then auth.jwt() -> 'app_metadata' ->> 'role' end)
$$;
comment on function private.acting_app_role() is
  'For the audit log: the role of the person who writes, also where the server writes as service_role on their behalf. It '
  'grants nothing.';

create or replace function private.is_admin() returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(private.app_role() = 'admin', false)
$$;

-- From an earlier release.
drop function if exists private.account_credentials(text);
drop function if exists private.create_account(text, text, text);
drop function if exists private.note_sign_in(uuid);

-- plpgsql resolves names only when it runs, so the body may use columns that another auth schema lacks.

create or replace function private.account_of_email(p_canonical text, p_spellings text[])
returns table (id uuid, email text, password_hash text, app_metadata jsonb)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select u.id, u.email::text, u.encrypted_password::text, u.raw_app_meta_data
    from auth.users u
    where u.canonical_email = p_canonical or u.email = any (p_spellings)
    order by (u.email = p_spellings[1]) desc, (u.canonical_email is not null) desc, u.created_at
    limit 1;
end
$$;
comment on function private.account_of_email(text, text[]) is
  'The account of an address. Some accounts from before the canonical form share one: then the first spelling decides.';

create or replace function private.person_of_email(p_canonical text, p_spellings text[]) returns uuid
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return coalesce(
    case when private.accounts_are_ours() then
      (select a.id from private.account_of_email(p_canonical, p_spellings) a) end,
    (select p.id from public.profiles p
     where lower(p.email) = any (p_spellings) and not p.is_anonymous
     order by (lower(p.email) = p_spellings[1]) desc, p.created_at
     limit 1));
end
$$;
comment on function private.person_of_email(text, text[]) is
  'The owner of an address, also if another service manages the accounts: the profile has the e-mail.';

create or replace function private.create_account(
  p_email text, p_canonical text, p_spellings text[], p_password_hash text, p_display_name text) returns uuid
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  account uuid;
begin
  if exists (select from private.account_of_email(p_canonical, p_spellings)) then
    return null;
  end if;
  insert into auth.users (id, email, canonical_email, encrypted_password, raw_user_meta_data, last_sign_in_at)
  values (
    private.uuid_v7(), p_email, p_canonical, p_password_hash,
    pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('display_name', p_display_name)), now())
  on conflict do nothing
  returning id into account;
  return account;
end
$$;
comment on function private.create_account(text, text, text[], text, text) is
  'Creates an account; returns its id, or null if the e-mail is taken.';

create or replace function private.start_account_afresh(p_id uuid) returns uuid
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  former record;
  account constant uuid := private.uuid_v7();
begin
  select * into former from auth.users u where u.id = p_id for update;
  update auth.users set email = null, canonical_email = null where id = p_id;
  -- What the operator granted was granted to the address.
  insert into auth.users (id, email, canonical_email, email_confirmed_at, raw_app_meta_data)
  values (account, former.email, former.canonical_email, now(), former.raw_app_meta_data);
  -- These went to the address as well.
  update private.one_time_tokens set user_id = account where user_id = p_id and kind = 'reset_password';
  update private.outbox set user_id = account
  where user_id = p_id and template = 'reset_password' and next_attempt_at is not null;
  delete from auth.users where id = p_id;
  return account;
end
$$;
comment on function private.start_account_afresh(uuid) is
  'An account with the same, now confirmed e-mail, no password and a new id. The former one is deleted with all its data: '
  'it may have been created by another person, whose access tokens are now void.';

create or replace function private.account_app_metadata(p_id uuid) returns jsonb
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return (select u.raw_app_meta_data from auth.users u where u.id = p_id);
end
$$;

create or replace function private.account(p_id uuid)
returns table (email text, password_hash text, email_confirmed_at timestamptz)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select u.email::text, u.encrypted_password::text, u.email_confirmed_at from auth.users u where u.id = p_id;
end
$$;

-- Also voids mails for resetting the password, which are no longer needed.
create or replace function private.set_password(p_id uuid, p_password_hash text) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update auth.users set encrypted_password = p_password_hash, updated_at = now() where id = p_id;
  delete from private.one_time_tokens where user_id = p_id and kind = 'reset_password';
end
$$;

-- A password is verified before the transaction, which takes a while. The result counts only if the hash is still the
-- same: a reset in the meantime must invalidate the old password.
create or replace function private.replace_password_hash(p_id uuid, p_known_hash text, p_new_hash text) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update auth.users set encrypted_password = p_new_hash, updated_at = now()
  where id = p_id and encrypted_password = p_known_hash;
  return found;
end
$$;
comment on function private.replace_password_hash(uuid, text, text) is 'False if the stored hash is not p_known_hash any more.';

create or replace function private.enter_account(p_id uuid, p_known_hash text) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update auth.users set last_sign_in_at = now() where id = p_id and encrypted_password = p_known_hash;
  return found;
end
$$;
comment on function private.enter_account(uuid, text) is
  'Records a sign-in; false if the stored hash is not p_known_hash any more.';

create or replace function private.count_attempt(p_bucket bytea, p_window interval) returns integer
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  with expired as (delete from private.auth_attempts where window_start < now() - interval '1 day')
  insert into private.auth_attempts as a (bucket, window_start, attempts)
  values (p_bucket, pg_catalog.date_bin(p_window, now(), timestamptz '2000-01-01 00:00:00Z'), 1)
  on conflict (bucket, window_start) do update set attempts = a.attempts + 1
  returning attempts
$$;
comment on function private.count_attempt(bytea, interval) is 'Counts an attempt; returns the number in this window so far.';

create or replace function private.forgive_attempt(p_bucket bytea, p_window interval) returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  update private.auth_attempts set attempts = attempts - 1
  where bucket = p_bucket and attempts > 0
    and window_start = pg_catalog.date_bin(p_window, now(), timestamptz '2000-01-01 00:00:00Z')
$$;
comment on function private.forgive_attempt(bytea, interval) is 'Uncounts an attempt of this window, because it succeeded.';

revoke all on function private.accounts_are_ours(), private.create_account(text, text, text[], text, text),
  private.account_of_email(text, text[]), private.account_app_metadata(uuid), private.enter_account(uuid, text),
  private.replace_password_hash(uuid, text, text), private.start_account_afresh(uuid),
  private.count_attempt(bytea, interval), private.forgive_attempt(bytea, interval), private.account(uuid),
  private.set_password(uuid, text), private.has_mfa(uuid), private.person_of_email(text, text[]),
  private.acting_app_role()
  from public, anon, authenticated, service_role;
grant execute on function private.accounts_are_ours(), private.create_account(text, text, text[], text, text),
  private.account_of_email(text, text[]), private.account_app_metadata(uuid), private.enter_account(uuid, text),
  private.replace_password_hash(uuid, text, text),
  private.count_attempt(bytea, interval), private.forgive_attempt(bytea, interval), private.account(uuid),
  private.set_password(uuid, text)
  to service_role;
revoke all on function private.session_id(), private.is_aal2() from public;
grant execute on function private.app_role(), private.is_admin(), private.has_mfa(uuid), private.session_id(),
  private.is_aal2()
  to anon, authenticated, service_role;
