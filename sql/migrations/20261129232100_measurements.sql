-- What a quiz measured and how exactly, and the combination of all measurements of a person. Scores are percentiles from
-- now on. Assessments of version 1.0 keep their scores, which are read as percentiles with a variance of
-- 100 / confidence.
-- Constraints that name the five traits go: the traits are rows now.
-- squawk-ignore-file ban-drop-constraint

alter table public.personality_profiles
  add column standard_errors jsonb,
  add column variances jsonb,
  add column trend jsonb,
  add column reassessment_suggested_at timestamptz,
  drop constraint personality_profiles_primary_type;
comment on column public.personality_profiles.standard_errors is 'Points of each score: {"trait": 0..100}; null for version 1.0.';
comment on column public.personality_profiles.variances is 'Squared total error of each score; what weighs it against swipes.';
comment on column public.personality_profiles.trend is
  'Change between the first and the last quiz: {"trait": {"change", "standard_error"}}; null before the second.';
comment on column public.personality_profiles.reassessment_suggested_at is
  'Since when the swipes differ from the quiz by more than their errors explain; null while they agree.';

alter table public.personality_assessment_history
  add column standard_errors jsonb,
  add column variances jsonb,
  add column secondary_types text[] not null default '{}',
  add column quality_parts jsonb,
  add column is_provisional boolean,
  add column combined_scores jsonb,
  add column combined_errors jsonb,
  add column combined_variances jsonb,
  add column combined_confidence double precision,
  add column combined_share double precision,
  drop constraint personality_assessment_history_primary_type;
comment on column public.personality_assessment_history.personality_scores is
  'Of this quiz alone; of a change by swipes, the profile after it.';
comment on column public.personality_assessment_history.quality_parts is
  'What the quality is the product of, 0..1 each: {"pace", "variety", "consistency", "completeness"}.';
comment on column public.personality_assessment_history.is_provisional is
  'Whether the norms were simulated, before enough people had answered; null for version 1.0, which has none.';
comment on column public.personality_assessment_history.combined_scores is
  'Of the profile after this quiz: all quizzes, weighted by precision; null where it is personality_scores.';
comment on column public.personality_assessment_history.combined_share is
  'The share of this quiz in that combination, 0..1.';
alter table public.personality_assessment_history
  add constraint personality_assessment_history_secondary_types_count check (cardinality(secondary_types) <= 5) not valid,
  add constraint personality_assessment_history_combined_confidence_range
    check (combined_confidence between 0 and 1) not valid,
  add constraint personality_assessment_history_combined_share_range check (combined_share between 0 and 1) not valid;
