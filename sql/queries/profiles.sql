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

-- name: unknown_slugs(categories, brands)
-- One of each that the catalogue does not have; null if it has all.
select
  (select s from unnest(:categories::text[]) s where not exists (select from public.categories where slug = s) limit 1)
    as category,
  (select s from unnest(:brands::text[]) s where not exists (select from public.brands where slug = s) limit 1) as brand

-- name: standing(user_id)
-- What a role in the token of a session depends on, as private.app_role().
select exists (select from public.profiles p where p.id = :user_id::uuid) as is_known,
  private.has_mfa(:user_id::uuid) as has_factor
