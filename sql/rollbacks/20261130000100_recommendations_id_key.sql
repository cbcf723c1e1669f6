-- The index recommendations_id_key goes.
drop index public.recommendations_id_key;
