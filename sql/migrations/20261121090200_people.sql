-- Who: people and anonymous sessions, what keeps them signed in, and what makes a repeated request harmless.

create table public.profiles (
  id uuid default private.uuid_v7() constraint profiles_pkey primary key,
  is_anonymous boolean not null default false,
  email text,
  display_name text,
  preferences jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint profiles_display_name_length check (char_length(display_name) between 1 and 100),
  constraint profiles_preferences_object check (jsonb_typeof(preferences) = 'object'),
  constraint profiles_preferences_size check (octet_length(preferences::text) <= 32768)
);
comment on table public.profiles is 'Every person and every anonymous session; the token''s sub is its id.';
comment on column public.profiles.preferences is 'What the person said of themselves (statedPreferences).';
create unique index profiles_email_key on public.profiles (lower(email));

create table public.user_sessions (
  user_id uuid not null constraint user_sessions_user_id_fkey references public.profiles (id) on delete cascade,
  id uuid not null default private.uuid_v7(),
  refresh_token_hash bytea not null,
  rotated_token_hashes bytea[] not null default '{}',
  expires_at timestamptz not null,
  revoked_at timestamptz,
  user_agent text,
  created_at timestamptz not null default now(),
  last_used_at timestamptz not null default now(),
  constraint user_sessions_pkey primary key (user_id, id),
  constraint user_sessions_hash_length check (octet_length(refresh_token_hash) = 32)
);
comment on table public.user_sessions is 'One row per sign-in (a family of refresh tokens); only hashes are kept.';
comment on column public.user_sessions.rotated_token_hashes is
  'The last 64 rotated tokens: one of them presented again revokes the family; an older one is merely unknown.';
create index user_sessions_id_idx on public.user_sessions (id);

create table public.session_analytics (
  user_id uuid not null constraint session_analytics_user_id_fkey references public.profiles (id) on delete cascade,
  id uuid not null default private.uuid_v7(),
  session_id uuid not null,
  landing_page text,
  referrer text,
  device_type text,
  campaign text,
  started_at timestamptz not null default now(),
  constraint session_analytics_pkey primary key (user_id, id),
  constraint session_analytics_session_fkey
    foreign key (user_id, session_id) references public.user_sessions (user_id, id) on delete cascade
);
create index session_analytics_session_id_idx on public.session_analytics (user_id, session_id);

create table public.idempotency_keys (
  user_id uuid not null default auth.uid()
    constraint idempotency_keys_user_id_fkey references public.profiles (id) on delete cascade,
  operation text not null,
  key text not null,
  request_hash bytea not null,
  result_id uuid not null,
  created_at timestamptz not null default now(),
  constraint idempotency_keys_pkey primary key (user_id, operation, key),
  constraint idempotency_keys_key_length check (char_length(key) between 1 and 200)
);
create index idempotency_keys_created_at_idx on public.idempotency_keys (created_at);

-- Attempts to sign in, sign up or start a session, per hashed e-mail or address and window; shared by all workers.
create table private.auth_attempts (
  bucket bytea not null,
  window_start timestamptz not null,
  attempts integer not null default 0,
  constraint auth_attempts_pkey primary key (bucket, window_start)
);
alter table private.auth_attempts enable row level security;

create trigger profiles_updated_at before update on public.profiles
  for each row execute function public.update_updated_at_column();
