-- name: update(user_id, display_name, set_display_name, preferences)
-- The flag allows clearing the name; null leaves preferences unchanged.
update public.profiles set
  display_name = case when :set_display_name::boolean then :display_name::text else display_name end,
  preferences = coalesce(:preferences::jsonb, preferences)
where id = :user_id::uuid
returning id

-- name: analytics(user_id, since)
-- A person's activity since a timestamp (null: ever).
select * from public.get_user_analytics_summary(:user_id::uuid, :since::timestamptz)
