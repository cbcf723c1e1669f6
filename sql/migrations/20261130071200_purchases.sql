-- What networks report of a person's own clicks counts like what they say themselves: the product was bought.
-- squawk-ignore-file constraint-missing-not-valid, ban-drop-not-null

alter table public.recommendation_feedback
  alter column recommendation_id drop not null,
  add column conversion_id uuid,
  add constraint recommendation_feedback_subject
    check (recommendation_id is not null or (conversion_id is not null and feedback_type = 'purchased'));
comment on column public.recommendation_feedback.recommendation_id is
  'What it answers; null for a sale whose click came from no recommendation.';
comment on column public.recommendation_feedback.conversion_id is
  'The sale that it follows from, and goes with; null: the person said so. No foreign key: the sale outlives the person.';
