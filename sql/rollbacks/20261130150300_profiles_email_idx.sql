drop index public.profiles_email_idx;
