-- The column goes, with what it holds.
alter table public.recommendation_feedback drop column reason;
