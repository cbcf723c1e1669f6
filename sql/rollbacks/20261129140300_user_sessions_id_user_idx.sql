drop index public.user_sessions_id_user_idx;
