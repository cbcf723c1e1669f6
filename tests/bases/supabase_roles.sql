-- The roles of a Supabase project, which belong to the whole cluster. :password is put in by the tests.
-- What is not here: supautils (an extension that keeps even CREATEROLE from altering reserved roles) and the roles of
-- replication, backup and pooling, none of which touches what Aclue does.

create role anon nologin inherit;
create role authenticated nologin inherit;
create role service_role nologin inherit bypassrls;

-- The log-in of a project: no superuser, but row level security does not bind it.
create role postgres login createdb createrole replication bypassrls password :password;
grant anon, authenticated, service_role to postgres with admin option;
alter role postgres set search_path to "$user", public, extensions;

-- Reserved log-ins. The data API logs in as authenticator and becomes one of the three.
create role authenticator login noinherit password :password;
grant anon, authenticated, service_role to authenticator;
alter role authenticator set statement_timeout = '8s';
alter role authenticator set lock_timeout = '8s';
create role supabase_auth_admin login noinherit createrole password :password;
alter role supabase_auth_admin set search_path to auth;
alter role supabase_auth_admin set idle_in_transaction_session_timeout to 60000;
create role supabase_storage_admin login noinherit createrole password :password;
grant authenticator to supabase_storage_admin;
create role dashboard_user nologin createdb createrole replication;
create role supabase_read_only_user login bypassrls password :password;
grant pg_read_all_data to supabase_read_only_user;

alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
