-- What people allow, what they ask for, and who was erased: docs/privacy.md.

create table public.consents (
  user_id uuid not null default auth.uid()
    constraint consents_user_id_fkey references public.profiles (id) on delete cascade,
  id uuid not null default private.uuid_v7(),
  purpose text not null,
  granted boolean not null,
  policy_version text not null,
  source text not null default 'api',
  created_at timestamptz not null default clock_timestamp(),
  constraint consents_pkey primary key (user_id, id),
  constraint consents_purpose check (purpose in ('personalisation', 'analytics', 'marketing')),
  constraint consents_policy_version_length check (char_length(policy_version) between 1 and 50),
  constraint consents_source_length check (char_length(source) between 1 and 50)
);
comment on table public.consents is 'Events: the newest per purpose holds; private.has_consent() knows what holds without one.';
create index consents_user_purpose_idx on public.consents (user_id, purpose, created_at desc, id desc);

create table public.privacy_requests (
  user_id uuid not null default auth.uid()
    constraint privacy_requests_user_id_fkey references public.profiles (id) on delete cascade,
  id uuid not null default private.uuid_v7(),
  kind text not null,
  created_at timestamptz not null default now(),
  constraint privacy_requests_pkey primary key (user_id, id),
  constraint privacy_requests_kind check (kind in ('export', 'erasure'))
);
comment on table public.privacy_requests is
  'Exports and erasures begin with a row here; a restrictive policy asks those who have a second factor for it.';

create table public.erasure_tombstones (
  subject_hash bytea constraint erasure_tombstones_pkey primary key,
  erased_at timestamptz not null default now(),
  constraint erasure_tombstones_hash_length check (octet_length(subject_hash) = 32)
);
comment on table public.erasure_tombstones is
  'A keyed hash of each erased person, so that a restored backup can be told to forget them again.';
