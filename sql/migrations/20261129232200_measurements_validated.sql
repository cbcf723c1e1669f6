-- The old rows keep to the bounds, too.
alter table public.personality_assessment_history
  validate constraint personality_assessment_history_secondary_types_count;
alter table public.personality_assessment_history
  validate constraint personality_assessment_history_combined_confidence_range;
alter table public.personality_assessment_history
  validate constraint personality_assessment_history_combined_share_range;
