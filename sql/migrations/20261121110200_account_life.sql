-- How somebody signed in, which e-mail is confirmed, tokens that are sent by mail, and the mails that wait.

alter table public.user_sessions
  add column aal text not null default 'aal1' constraint user_sessions_aal check (aal in ('aal1', 'aal2')),
  add column amr jsonb not null default '[]' constraint user_sessions_amr check (jsonb_typeof(amr) = 'array');
comment on column public.user_sessions.amr is 'How and when the person proved who they are; copied into access tokens.';

-- Kept in step with auth.users by private.sync_profile().
alter table public.profiles add column email_verified_at timestamptz;

create table private.one_time_tokens (
  user_id uuid not null constraint one_time_tokens_user_id_fkey references public.profiles (id) on delete cascade,
  kind text not null constraint one_time_tokens_kind check (kind in ('reset_password', 'verify_email')),
  token_hash bytea not null constraint one_time_tokens_token_hash_key unique,
  email text not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  constraint one_time_tokens_pkey primary key (user_id, kind),
  constraint one_time_tokens_hash_length check (octet_length(token_hash) = 32)
);
comment on table private.one_time_tokens is
  'Hashes of tokens that were sent by mail. One per person and kind: a new one takes the place of the old, use deletes it.';
comment on column private.one_time_tokens.email is 'Where it was sent: of no use once the account has another e-mail.';
create index one_time_tokens_expires_at_idx on private.one_time_tokens (expires_at);
alter table private.one_time_tokens enable row level security;

create table private.recovery_codes (
  user_id uuid not null constraint recovery_codes_user_id_fkey references public.profiles (id) on delete cascade,
  code_hash bytea not null,
  created_at timestamptz not null default now(),
  constraint recovery_codes_pkey primary key (user_id, code_hash),
  constraint recovery_codes_hash_length check (octet_length(code_hash) = 32)
);
comment on table private.recovery_codes is 'Hashes of codes that stand in for a lost second factor, each once: use deletes it.';
alter table private.recovery_codes enable row level security;

create table private.outbox (
  id uuid not null default private.uuid_v7() constraint outbox_pkey primary key,
  user_id uuid not null constraint outbox_user_id_fkey references public.profiles (id) on delete cascade,
  recipient text not null,
  template text not null,
  payload bytea,
  attempts integer not null default 0,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  next_attempt_at timestamptz default now(),
  sent_at timestamptz,
  last_error text
);
comment on table private.outbox is 'Mails to send, written in the transaction that is the reason for them.';
comment on column private.outbox.payload is 'Encrypted: it carries a token. Null once nothing more is to be done.';
comment on column private.outbox.next_attempt_at is 'Null: sent, or given up (then last_error says why).';
create index outbox_user_id_idx on private.outbox (user_id);
create index outbox_next_attempt_at_idx on private.outbox (next_attempt_at) where next_attempt_at is not null;
alter table private.outbox enable row level security;

do $$
begin
  if obj_description('auth'::regnamespace, 'pg_namespace') = 'aclue' then
    -- The time step of the newest code that was taken: a code works once.
    alter table auth.mfa_factors add column last_used_step bigint;
  elsif exists (
    select from information_schema.columns
    where table_schema = 'auth' and table_name = 'users' and column_name = 'email_confirmed_at'
  ) then
    update public.profiles p set email_verified_at = u.email_confirmed_at
    from auth.users u where u.id = p.id and u.email_confirmed_at is not null;
  end if;
end
$$;
