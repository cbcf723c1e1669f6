-- When a new model is built, and by whom.

-- name: try_lock()
-- One builder of models at a time, until the end of the transaction.
select pg_try_advisory_xact_lock(hashtext('aclue.refresh_model'))

-- name: refresh_model()
-- As service_role: a new model version.
select private.refresh_model()

-- name: needs_refresh(seconds)
-- Whether there is no model, or something changed since the newest one and it is older than this. Signals gain weight for
-- a week without anything happening (private.trusted_signals), which a model a day accounts for.
select not exists (select from public.recommendation_models)
  or exists (
    select from (select max(created_at) as at from public.recommendation_models) m
    where m.at < now() - make_interval(secs => :seconds::float8)
      and (private.swiped_since(m.at)
        or exists (select from public.products where updated_at > m.at)
        or exists (select from public.personality_gift_mappings where updated_at > m.at)
        or exists (select from public.personality_tag_mappings where updated_at > m.at)
        or m.at < now() - interval '1 day' and private.swiped_since(m.at - interval '8 days')))
