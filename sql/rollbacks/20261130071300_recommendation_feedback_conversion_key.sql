-- The index recommendation_feedback_conversion_key goes.
drop index public.recommendation_feedback_conversion_key;
