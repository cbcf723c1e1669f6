-- Why somebody is not interested: a product that is too expensive says nothing of their taste.

alter table public.recommendation_feedback add column reason text;
comment on column public.recommendation_feedback.reason is 'Why not_interested; null without a reason.';
-- The column is null in every row, so that validation does not take long.
-- squawk-ignore constraint-missing-not-valid
alter table public.recommendation_feedback add constraint recommendation_feedback_reason
  check (reason is null or feedback_type = 'not_interested' and reason in (
    'not_my_style', 'too_expensive', 'already_have_similar', 'bad_quality', 'wrong_person', 'other')) not valid;
-- squawk-ignore constraint-missing-not-valid
alter table public.recommendation_feedback validate constraint recommendation_feedback_reason;
