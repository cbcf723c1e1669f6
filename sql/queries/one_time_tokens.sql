-- Tokens that are sent by mail. All of it runs as service_role.

-- name: issue(kind, email, token_hash, payload, lifetime_seconds)
select private.issue_one_time_token(
  :kind::text, :email::text, :token_hash::bytea, :payload::bytea, make_interval(secs => :lifetime_seconds::float8))

-- name: use(kind, token_hash)
select private.use_one_time_token(:kind::text, :token_hash::bytea)
