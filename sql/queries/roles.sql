-- Admins and analysts.

-- name: change(email, role, is_granted, actor)
-- As service_role with the admin as its subject, or as the owner.
select outcome, person_id, app_role from private.change_role(:email::text, :role::text, :is_granted::boolean, :actor::uuid)

-- name: people()
-- As the owner.
select email, app_role from private.people_with_roles()
