-- The proof of a merge is a refresh token of the anonymous session, which names the session and not its profile: a
-- merge that is asked for again, after an answer that was lost, is found by it.
alter table public.session_merges add column session_id uuid;
comment on column public.session_merges.session_id is
  'The session whose refresh token was the proof; null for merges from before that was asked for.';
