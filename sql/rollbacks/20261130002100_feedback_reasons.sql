alter table public.recommendation_feedback drop column reason;
