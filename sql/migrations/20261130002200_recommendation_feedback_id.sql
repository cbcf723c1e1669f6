-- aclue: no transaction
-- Everybody's feedback, newest first, as analysts read it.
-- squawk-ignore prefer-robust-stmts
create index concurrently recommendation_feedback_id_idx on public.recommendation_feedback (id);
