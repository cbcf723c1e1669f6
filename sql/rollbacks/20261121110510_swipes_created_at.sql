-- The index swipes_created_at_idx goes.
drop index public.swipes_created_at_idx;
