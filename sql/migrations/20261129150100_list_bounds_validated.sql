-- The old rows keep to the bounds, too.
update public.personality_profiles set secondary_types = secondary_types[1:5] where cardinality(secondary_types) > 5;
alter table public.quiz_questions validate constraint quiz_questions_position_range;
alter table public.quiz_texts validate constraint quiz_texts_answer_range;
alter table public.personality_profiles validate constraint personality_profiles_secondary_types_count;
