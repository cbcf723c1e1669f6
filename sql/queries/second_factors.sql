-- Second factors. All blocks except of_person and is_on run as service_role.

-- name: of_person(user_id, maximum)
select id, name, is_verified, created_at from private.second_factors_of(:user_id::uuid) limit :maximum::integer

-- name: is_on(user_id)
select private.has_mfa(:user_id::uuid)

-- name: enrol(user_id, name, secret, maximum)
select private.enrol_second_factor(:user_id::uuid, :name::text, :secret::text, :maximum::integer)

-- name: by_id(user_id, id)
select is_verified, secret from private.second_factor(:user_id::uuid, :id::uuid)

-- name: use(user_id, id, step, is_aal2)
select private.use_second_factor(:user_id::uuid, :id::uuid, :step::bigint, :is_aal2::boolean)

-- name: remove(user_id, id, is_aal2)
select private.remove_second_factor(:user_id::uuid, :id::uuid, :is_aal2::boolean)

-- name: replace_recovery_codes(user_id, hashes)
select private.replace_recovery_codes(:user_id::uuid, :hashes::bytea[])

-- name: use_recovery_code(user_id, hash)
select private.use_recovery_code(:user_id::uuid, :hash::bytea)
