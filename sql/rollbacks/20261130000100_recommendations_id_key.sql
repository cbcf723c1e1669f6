drop index public.recommendations_id_key;
