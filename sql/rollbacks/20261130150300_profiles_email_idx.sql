-- The index of e-mails goes.
drop index public.profiles_email_idx;
