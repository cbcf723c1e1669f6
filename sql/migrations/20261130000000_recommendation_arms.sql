-- A recommendation is known by what its id says: product, context, model, arm and propensity. Position and time come
-- with impressions. Rows of earlier releases, whose ids had a position, a score and a time, have no arm. No release reads
-- what may be null now.
-- squawk-ignore-file ban-drop-not-null
alter table public.recommendations
  add column arm integer,
  alter column position drop not null,
  alter column score drop not null;
comment on column public.recommendations.arm is
  'The arm of the experiment that ranked it (experiment_arms.number), 0: of none. Null in rows of earlier releases.';
comment on column public.recommendations.position is 'Of earlier releases; now in impressions.';
comment on column public.recommendations.score is
  'Of earlier releases; now personality_recommendations.combined_score.';
comment on column public.recommendations.generated_at is
  'When it was first acted on; in rows of earlier releases, when its feed was frozen.';
