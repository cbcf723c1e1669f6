-- The index user_sessions_id_user_idx goes.
drop index public.user_sessions_id_user_idx;
