alter table public.session_merges drop column session_id;
