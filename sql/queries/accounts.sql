-- Log-ins. All blocks run as service_role, through functions that no other role may call.

-- name: are_ours()
select private.accounts_are_ours()

-- name: create(email, canonical, spellings, password_hash, display_name)
select private.create_account(
  :email::text, :canonical::text, :spellings::text[], :password_hash::text, :display_name::text)

-- name: by_email(canonical, spellings)
select id, email, password_hash, app_metadata, private.has_mfa(id) as has_factor
from private.account_of_email(:canonical::text, :spellings::text[])

-- name: app_metadata(id)
select private.account_app_metadata(:id::uuid) as app_metadata, private.has_mfa(:id::uuid) as has_factor

-- name: enter(id, known_hash)
select private.enter_account(:id::uuid, :known_hash::text)

-- name: replace_password_hash(id, known_hash, new_hash)
select private.replace_password_hash(:id::uuid, :known_hash::text, :new_hash::text)

-- name: count_attempt(bucket, window_seconds)
select private.count_attempt(:bucket::bytea, make_interval(secs => :window_seconds::float8))

-- name: forgive_attempt(bucket, window_seconds)
select private.forgive_attempt(:bucket::bytea, make_interval(secs => :window_seconds::float8))

-- name: recognise(user_id, canonical, spellings, households, session_id)
-- Whether an account, by its id or e-mail, has signed in from one of these households (is_near), and whether this is one
-- of its live sessions. If there is a second factor, only sessions that have shown it count, because a thief of the
-- password can open others. At most the newest 50, which bounds the networks that such a thief can add.
with account as materialized (
  select coalesce(:user_id::uuid,
    (select a.id from private.account_of_email(:canonical::text, :spellings::text[]) a)) as id
), trusted as materialized (
  select s.networks[1] as household, s.id = :session_id::uuid and s.revoked_at is null and s.expires_at > now() as is_this
  from account a join public.user_sessions s on s.user_id = a.id
  where s.aal = 'aal2' or not private.has_mfa(a.id)
  order by s.id desc limit 50
)
select coalesce(bool_or(household = any (:households::bytea[])), false) as is_near,
  coalesce(bool_or(is_this), false) as is_signed_in
from trusted

-- name: by_id(id)
select email, password_hash, email_confirmed_at from private.account(:id::uuid)

-- name: set_password(id, password_hash)
select private.set_password(:id::uuid, :password_hash::text)
