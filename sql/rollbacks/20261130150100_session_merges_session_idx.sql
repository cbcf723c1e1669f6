-- The index of merged sessions goes.
drop index public.session_merges_session_idx;
