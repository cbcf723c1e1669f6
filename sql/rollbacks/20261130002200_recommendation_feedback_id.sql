-- The index recommendation_feedback_id_idx goes.
drop index public.recommendation_feedback_id_idx;
