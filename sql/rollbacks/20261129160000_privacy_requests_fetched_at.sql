-- Exports are no longer marked as fetched.
alter table public.privacy_requests drop column fetched_at;
