-- aclue: no transaction
-- A recommendation is stored once. Rows of earlier releases have a key of their own.
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create unique index concurrently recommendations_id_key on public.recommendations
  (user_id, product_id, recommendation_context, model_version, arm, propensity) where arm is not null;
