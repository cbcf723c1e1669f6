-- The bounds go.
alter table public.quiz_questions drop constraint quiz_questions_position_range;
alter table public.quiz_texts drop constraint quiz_texts_answer_range;
alter table public.personality_profiles drop constraint personality_profiles_secondary_types_count;
