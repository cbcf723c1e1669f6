-- The newest quiz of each person has the confidence that their profile shows. The checks hold for old rows too.

update public.personality_assessment_history h set confidence_level = p.confidence_level
from public.personality_profiles p
where h.user_id = p.user_id and h.id = (
  select n.id from public.personality_assessment_history n where n.user_id = p.user_id
  order by n.assessment_timestamp desc, n.id desc limit 1);

alter table public.personality_assessment_history validate constraint personality_assessment_history_method;
alter table public.personality_assessment_history validate constraint personality_assessment_history_valid_confidence;
