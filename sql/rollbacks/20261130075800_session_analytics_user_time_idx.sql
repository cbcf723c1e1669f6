-- The index session_analytics_user_time_idx goes.
drop index public.session_analytics_user_time_idx;
