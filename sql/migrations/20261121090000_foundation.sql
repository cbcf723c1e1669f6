-- Schemas, roles, the auth schema where there is none, ids and timestamps.

create schema if not exists private;
comment on schema private is 'Functions and tables that no client reaches directly.';

-- On Supabase new objects of the migrating role are granted to anon and authenticated by default,
-- TRUNCATE included, which row level security does not see. Every grant here is explicit instead.
alter default privileges in schema public revoke all on tables from public;
alter default privileges revoke execute on functions from public;

do $$
declare
  api_role text;
begin
  foreach api_role in array array['anon', 'authenticated', 'service_role'] loop
    if not exists (select from pg_roles where rolname = api_role) then
      execute format('create role %I nologin noinherit', api_role);
    end if;
    execute format('alter default privileges in schema public revoke all on tables from %I', api_role);
    execute format('alter default privileges in schema public revoke all on sequences from %I', api_role);
    execute format('alter default privileges in schema public revoke all on functions from %I', api_role);
  end loop;
end
$$;

grant usage on schema public to anon, authenticated, service_role;
grant usage on schema private to anon, authenticated, service_role;

-- Supabase brings its own auth schema; elsewhere a small one of the same shape takes its place.
-- The comment marks it as ours: account operations work only where it stands.
do $$
begin
  if not exists (select from pg_namespace where nspname = 'auth') then
    create schema auth;
    comment on schema auth is 'aclue';

    create table auth.users (
      id uuid constraint users_pkey primary key,
      email text constraint users_email_key unique,
      encrypted_password text,
      email_confirmed_at timestamptz,
      is_anonymous boolean not null default false,
      raw_app_meta_data jsonb not null default '{}',
      raw_user_meta_data jsonb not null default '{}',
      last_sign_in_at timestamptz,
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now()
    );
    comment on table auth.users is 'Log-ins of accounts. Only private functions of the owner read it.';
    alter table auth.users enable row level security;

    create function auth.jwt() returns jsonb language sql stable
      set search_path = ''
      return nullif(current_setting('request.jwt.claims', true), '')::jsonb;

    -- nullif: after a first local set_config an unset claim reads '' and not null.
    create function auth.uid() returns uuid language sql stable
      set search_path = ''
      return nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', '')::uuid;

    create function auth.role() returns text language sql stable
      set search_path = ''
      return nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role';

    grant usage on schema auth to anon, authenticated, service_role;
    grant execute on function auth.jwt(), auth.uid(), auth.role() to anon, authenticated, service_role;
  end if;
end
$$;

-- UUIDv7 (RFC 9562): 48 bits of milliseconds, then version, variant and random bits. Postgres 18 has it built in.
do $$
begin
  if exists (select from pg_proc where proname = 'uuidv7' and pronamespace = 'pg_catalog'::regnamespace) then
    create function private.uuid_v7() returns uuid language sql volatile parallel safe
      return pg_catalog.uuidv7();
  else
    -- A version 4 uuid whose first 6 bytes are overwritten by the clock; bits 52 and 53 turn its version 4 into 7.
    create function private.uuid_v7() returns uuid language sql volatile parallel safe
      return encode(
        set_bit(set_bit(
          overlay(
            uuid_send(gen_random_uuid())
            placing substring(int8send(floor(extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
            from 1 for 6),
          52, 1), 53, 1),
        'hex')::uuid;
  end if;
end
$$;
comment on function private.uuid_v7() is 'A time-ordered id; every table''s default.';
grant execute on function private.uuid_v7() to anon, authenticated, service_role;

create function public.update_updated_at_column() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  new.updated_at := now();
  return new;
end
$$;
comment on function public.update_updated_at_column() is 'BEFORE UPDATE trigger: stamps updated_at.';
