-- Log-ins. All of it runs as service_role, through functions that nobody else may call.

-- name: are_ours()
select private.accounts_are_ours()

-- name: create(email, canonical, spellings, password_hash, display_name)
select private.create_account(
  :email::text, :canonical::text, :spellings::text[], :password_hash::text, :display_name::text)

-- name: by_email(canonical, spellings)
select id, email, password_hash, app_metadata from private.account_of_email(:canonical::text, :spellings::text[])

-- name: app_metadata(id)
select private.account_app_metadata(:id::uuid)

-- name: enter(id, known_hash)
select private.enter_account(:id::uuid, :known_hash::text)

-- name: replace_password_hash(id, known_hash, new_hash)
select private.replace_password_hash(:id::uuid, :known_hash::text, :new_hash::text)

-- name: count_attempt(bucket, window_seconds)
select private.count_attempt(:bucket::bytea, make_interval(secs => :window_seconds::float8))

-- name: forgive_attempt(bucket, window_seconds)
select private.forgive_attempt(:bucket::bytea, make_interval(secs => :window_seconds::float8))

-- name: by_id(id)
select email, password_hash, email_confirmed_at from private.account(:id::uuid)

-- name: set_password(id, password_hash)
select private.set_password(:id::uuid, :password_hash::text)
