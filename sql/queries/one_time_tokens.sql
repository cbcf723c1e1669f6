-- Tokens that are sent by mail. All blocks run as service_role.

-- name: issue(kind, email, token_hash, payload, lifetime_seconds)
select private.issue_one_time_token(
  :kind::text, :email::text, :token_hash::bytea, :payload::bytea, make_interval(secs => :lifetime_seconds::float8))

-- name: is_valid(kind, token_hash)
select private.is_one_time_token(:kind::text, :token_hash::bytea)

-- name: use(kind, token_hash, holder)
select account, is_afresh from private.use_one_time_token(:kind::text, :token_hash::bytea, :holder::uuid)

-- name: request_reset(canonical, spellings, lifetime_seconds)
select private.request_reset(:canonical::text, :spellings::text[], make_interval(secs => :lifetime_seconds::float8))

-- name: take_reset_request()
select canonical_email, spellings from private.take_reset_request()
