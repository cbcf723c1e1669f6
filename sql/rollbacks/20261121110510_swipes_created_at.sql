drop index public.swipes_created_at_idx;
