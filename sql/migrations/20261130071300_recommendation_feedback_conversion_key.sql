-- aclue: no transaction
-- A sale is feedback once. Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create unique index concurrently recommendation_feedback_conversion_key
  on public.recommendation_feedback (user_id, conversion_id) where conversion_id is not null;
