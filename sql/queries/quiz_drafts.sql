-- name: save(instrument, version, answers)
-- As service_role: adds answers to the caller's draft; the later answer to a question replaces the earlier one. A draft of
-- another version is replaced.
insert into public.quiz_drafts as d (instrument, version, answers, answered_at)
select :instrument, :version, :answers::jsonb,
  coalesce(jsonb_object_agg(code, extract(epoch from clock_timestamp())), '{}')
from jsonb_object_keys(:answers::jsonb) code
on conflict (user_id) do update set
  answers = case when (d.instrument, d.version) = (excluded.instrument, excluded.version)
    then d.answers || excluded.answers else excluded.answers end,
  answered_at = case when (d.instrument, d.version) = (excluded.instrument, excluded.version)
    then d.answered_at || excluded.answered_at else excluded.answered_at end,
  instrument = excluded.instrument, version = excluded.version, updated_at = clock_timestamp()
