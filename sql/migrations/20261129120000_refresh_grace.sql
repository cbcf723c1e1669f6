-- A refresh token that is presented again within REFRESH_GRACE gives another pair of its session, so a session may have
-- several live refresh tokens. The release before knows of refresh_token_hash alone, which stays the newest of them.
alter table public.user_sessions
  add column branch_token_hashes bytea[] not null default '{}',
  add column rotated_at timestamptz[] not null default '{}';
comment on column public.user_sessions.branch_token_hashes is
  'The live refresh tokens beside refresh_token_hash, newest first, at most 99.';
comment on column public.user_sessions.rotated_token_hashes is
  'Exchanged tokens that may be presented again, one entry for each pair they gave, newest first, at most 100.';
comment on column public.user_sessions.rotated_at is
  'When each of rotated_token_hashes was first exchanged; null or absent: it may not be presented again.';
