-- name: current_quiz(locale)
-- The current version's questions in a locale, or in "en" without a translation.
with version as (select version, min_answers from public.quiz_versions where is_current),
chosen as (
  select coalesce(
    (select locale from public.quiz_texts t join version v using (version)
     where locale in (:locale::text, split_part(:locale::text, '-', 1))
     order by length(locale) desc limit 1), 'en') as locale
)
select v.version, v.min_answers, c.locale, q.code, q.trait, q.is_reversed, t.text
from version v cross join chosen c
join public.quiz_questions q on q.version = v.version
join public.quiz_texts t on t.version = v.version and t.locale = c.locale and t.code = q.code
order by q.position

-- name: quiz_options(version, locale)
select replace(code, 'answer-', '')::int as value, text from public.quiz_texts
where version = :version and locale = :locale and code like 'answer-%' order by 1

-- name: store_profile(primary_type, secondary_types, scores, confidence, responses, questions_answered, version)
insert into public.personality_profiles (
  primary_type, secondary_types, personality_scores, confidence_level, quiz_responses, assessment_method,
  total_questions_answered, version, last_assessment_at)
values (:primary_type, :secondary_types, :scores::jsonb, :confidence, :responses::jsonb, 'quiz',
  :questions_answered, :version, clock_timestamp())
on conflict (user_id) do update set
  primary_type = excluded.primary_type, secondary_types = excluded.secondary_types,
  personality_scores = excluded.personality_scores, confidence_level = excluded.confidence_level,
  quiz_responses = excluded.quiz_responses, assessment_method = excluded.assessment_method,
  total_questions_answered = excluded.total_questions_answered, version = excluded.version,
  last_assessment_at = excluded.last_assessment_at
returning id

-- name: store_assessment(user_id, data, scores, primary_type, trigger, confidence, questions_answered, seconds, quality)
insert into public.personality_assessment_history (
  assessment_data, personality_scores, primary_type, assessment_trigger, confidence_level, questions_answered,
  completion_time_seconds, assessment_quality_score, user_swipes_count)
select :data::jsonb, :scores::jsonb, :primary_type, :trigger, :confidence, :questions_answered, :seconds, :quality,
  (select count(*) from public.swipes where user_id = :user_id::uuid and undone_at is null)
returning id

-- name: mark_due()
-- Marks the caller's personality profile for a rebuild from quiz and swipes.
select private.mark_personality_due()

-- name: mark_everybody_due(user_id)
-- As the owner: one person, or everybody (null) who took a quiz or swiped.
insert into private.personality_due (user_id)
select p.id from public.profiles p
where (:user_id::uuid is null or p.id = :user_id::uuid)
  and (exists (select from public.personality_profiles x where x.user_id = p.id)
    or exists (select from public.product_signals s where s.user_id = p.id))
on conflict (user_id) do update set marks = personality_due.marks + 1

-- name: update_from_behaviour(size)
-- As service_role: rebuilds a batch of the profiles that are due; returns how many.
select private.update_personality_from_behaviour(:size::int)
