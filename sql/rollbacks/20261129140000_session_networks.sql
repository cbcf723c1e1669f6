alter table public.user_sessions drop column networks;
