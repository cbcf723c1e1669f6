-- name: first_and_last(instrument, version, min_quality)
-- As the owner, for test-retest reliability: the first and the newest quiz of each person who took this version more than
-- once and allows analytics and personalisation, and nothing else of the person.
select n.scores[1] as first, n.scores[cardinality(n.scores)] as last, n.first_at, n.last_at
from (
  select h.user_id, array_agg(h.personality_scores order by h.assessment_timestamp, h.id) as scores,
    min(h.assessment_timestamp) as first_at, max(h.assessment_timestamp) as last_at
  from public.personality_assessment_history h
  where h.assessment_method = 'quiz' and h.assessment_data ->> 'version' = :version::text
    and coalesce(h.assessment_data ->> 'instrument', 'aclue-gifts') = :instrument::text
    and h.assessment_quality_score >= :min_quality::double precision
  group by h.user_id having count(*) > 1
) n
where private.has_consent(n.user_id, 'analytics') and private.has_consent(n.user_id, 'personalisation')
order by n.first_at, n.last_at
