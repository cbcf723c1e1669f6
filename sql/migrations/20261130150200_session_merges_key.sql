-- A session is merged once because private.merge_session() locks its profile, which the merge deletes.
-- squawk-ignore ban-drop-constraint
alter table public.session_merges drop constraint session_merges_session_profile_id_key;
