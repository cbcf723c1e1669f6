drop index public.session_merges_session_idx;
