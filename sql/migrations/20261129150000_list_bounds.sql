-- What the cost of a request takes for granted of lists without pages: schema/bounds.py. Checked for new rows at once and
-- for old ones in the next file, without a lock that anybody waits for.
alter table public.quiz_questions add constraint quiz_questions_position_range
  check (position between 1 and 100) not valid;
alter table public.quiz_texts add constraint quiz_texts_answer_range
  check (code not like 'answer-%' or code in ('answer-1', 'answer-2', 'answer-3', 'answer-4', 'answer-5')) not valid;
alter table public.personality_profiles add constraint personality_profiles_secondary_types_count
  check (cardinality(secondary_types) <= 5) not valid;
