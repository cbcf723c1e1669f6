-- The column goes, with what it holds.
alter table public.user_sessions drop column networks;
