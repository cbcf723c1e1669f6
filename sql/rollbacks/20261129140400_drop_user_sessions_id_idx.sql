-- The index user_sessions_id_idx comes back.
create index user_sessions_id_idx on public.user_sessions (id);
