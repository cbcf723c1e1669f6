-- The column goes, with what it holds.
alter table public.session_merges drop column session_id;
