-- Admins and analysts.

-- name: change(canonical, spellings, role, is_granted, actor)
-- As service_role with the admin as its subject, or as the owner.
select outcome, person_id, app_role from private.change_role(
  :canonical::text, :spellings::text[], :role::text, :is_granted::boolean, :actor::uuid)

-- name: people()
-- As the owner.
select email, app_role from private.people_with_roles()
