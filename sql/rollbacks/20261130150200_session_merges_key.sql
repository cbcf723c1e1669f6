-- A session is unique among all merges again; the constraint has its index.
alter table public.session_merges
  add constraint session_merges_session_profile_id_key unique (session_profile_id);
