-- name: dismiss(kind, key)
select id, refusal from private.dismiss_reason(:kind::text, :key::text)

-- name: restore(user_id, id)
-- The id, whether it was restored now or before; no row if it is not this person's.
with restored as (
  update public.dismissed_reasons set restored_at = clock_timestamp()
  where user_id = :user_id::uuid and id = :id::uuid and restored_at is null
)
select id from public.dismissed_reasons where user_id = :user_id::uuid and id = :id::uuid

-- name: is_current()
r.restored_at is null
