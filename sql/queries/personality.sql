-- name: begin(user_id)
-- As service_role: locks the person, so that their quizzes are taken one after the other and none while sessions are
-- merged; with the version that is current.
select v.instrument, v.version, v.revision
from public.profiles p left join public.quiz_versions v on v.is_current
where p.id = :user_id::uuid
for no key update of p

-- name: standing(user_id)
-- As service_role: what a quiz is scored against. The newest hundred measurements, oldest first; what is no number in
-- one is null. `swiped`: {"trait": 0..100} as the swipes have it.
select clock_timestamp() as at, s.swipes, s.purchases, s.swiped, (
  select coalesce(jsonb_agg(jsonb_build_object(
    'at', extract(epoch from h.assessment_timestamp),
    'scores', private.trait_numbers(h.personality_scores, 0, 100),
    'errors', private.trait_numbers(h.standard_errors, 0, 100),
    'variances', private.trait_numbers(h.variances, 1, 10000),
    'quality', h.assessment_quality_score,
    'confidence', h.confidence_level) order by h.assessment_timestamp, h.id), '[]')
  from (
    select * from public.personality_assessment_history
    where user_id = :user_id::uuid and assessment_method = 'quiz' and isfinite(assessment_timestamp)
    order by assessment_timestamp desc, id desc limit 100) h) as measurements
from private.quiz_standing(:user_id::uuid) s

-- name: store(at, data, scores, errors, variances, primary_type, secondary_types, trigger, confidence, questions_answered, seconds, quality, quality_parts, is_provisional, swipes, purchases, consistency, combined_scores, combined_errors, combined_variances, combined_primary, combined_secondary, combined_confidence, share, trend, feature_vector, segment, version)
-- As service_role: a quiz, the profile after it, and what follows; the quiz's id.
with profile as (
  insert into public.personality_profiles (
    primary_type, secondary_types, personality_scores, standard_errors, variances, confidence_level, quiz_responses,
    assessment_method, total_questions_answered, feature_vector, clustering_segment, trend, version, last_assessment_at)
  values (:combined_primary, :combined_secondary, :combined_scores::jsonb, :combined_errors::jsonb,
    :combined_variances::jsonb, :combined_confidence, :data::jsonb, 'quiz', :questions_answered, :feature_vector::jsonb,
    :segment, :trend::jsonb, :version, :at::timestamptz)
  on conflict (user_id) do update set
    primary_type = excluded.primary_type, secondary_types = excluded.secondary_types,
    personality_scores = excluded.personality_scores, standard_errors = excluded.standard_errors,
    variances = excluded.variances, confidence_level = excluded.confidence_level,
    quiz_responses = excluded.quiz_responses, assessment_method = excluded.assessment_method,
    total_questions_answered = excluded.total_questions_answered, feature_vector = excluded.feature_vector,
    clustering_segment = excluded.clustering_segment, trend = excluded.trend, version = excluded.version,
    last_assessment_at = excluded.last_assessment_at, reassessment_suggested_at = null
),
draft as (
  delete from public.quiz_drafts where user_id = auth.uid()
),
assessment as (
  insert into public.personality_assessment_history (
    assessment_data, personality_scores, standard_errors, variances, primary_type, secondary_types, assessment_trigger,
    confidence_level, questions_answered, completion_time_seconds, assessment_quality_score, quality_parts, is_provisional,
    user_swipes_count, user_purchases_count, behavioral_consistency, combined_scores, combined_errors, combined_variances,
    combined_confidence, combined_share, assessment_timestamp)
  values (:data::jsonb, :scores::jsonb, :errors::jsonb, :variances::jsonb, :primary_type, :secondary_types, :trigger,
    :confidence, :questions_answered, :seconds, :quality, :quality_parts::jsonb, :is_provisional, :swipes,
    :purchases, :consistency, :combined_scores::jsonb, :combined_errors::jsonb, :combined_variances::jsonb,
    :combined_confidence, :share, :at::timestamptz)
  returning id
)
select id, private.mark_personality_due() from assessment

-- name: noted(user_id, assessment)
-- What the note on a quiz follows from.
select assessment_quality_score as quality, quality_parts, combined_share as share
from public.personality_assessment_history where user_id = :user_id::uuid and id = :assessment::uuid

-- name: recombine(user_id, scores, errors, variances, primary_type, secondary_types, confidence, share, trend, feature_vector, segment)
-- As service_role: the combination of all quizzes of somebody who has taken over those of an anonymous session, in the
-- profile and with the newest quiz.
with newest as (
  update public.personality_assessment_history h set
    combined_scores = :scores::jsonb, combined_errors = :errors::jsonb, combined_variances = :variances::jsonb,
    combined_confidence = :confidence, combined_share = :share
  where h.user_id = :user_id::uuid and h.id = (
    select n.id from public.personality_assessment_history n
    where n.user_id = :user_id::uuid and n.assessment_method = 'quiz' and isfinite(n.assessment_timestamp)
    order by n.assessment_timestamp desc, n.id desc limit 1)
)
update public.personality_profiles set
  primary_type = :primary_type, secondary_types = :secondary_types, personality_scores = :scores::jsonb,
  standard_errors = :errors::jsonb, variances = :variances::jsonb, confidence_level = :confidence,
  assessment_method = 'quiz', trend = :trend::jsonb, feature_vector = :feature_vector::jsonb,
  clustering_segment = :segment
where user_id = :user_id::uuid

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

-- name: postpone()
-- As service_role: the person who has been due for longest comes after all others for a day.
select private.postpone_personality()
