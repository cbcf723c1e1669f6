-- name: current(user_id)
-- The current state, one row per purpose; decided_at is null if nothing was ever decided.
select p.purpose, private.has_consent(:user_id::uuid, p.purpose) as granted, c.created_at as decided_at, c.policy_version
from unnest(array['personalisation', 'analytics', 'marketing']) with ordinality p (purpose, position)
left join lateral (
  select created_at, policy_version from public.consents
  where user_id = :user_id::uuid and purpose = p.purpose
  order by created_at desc, id desc limit 1) c on true
order by p.position

-- name: record(purposes, granted, policy_version)
insert into public.consents (purpose, granted, policy_version)
select purpose, granted, :policy_version::text
from unnest(:purposes::text[], :granted::boolean[]) with ordinality d (purpose, granted, position)
order by position
returning id

-- name: forget_withdrawn()
select private.forget_withdrawn()
