-- What keeps people signed in. All of it runs as service_role.

-- name: create_anonymous_profile()
insert into public.profiles (is_anonymous) values (true) returning id

-- name: new_id()
select private.uuid_v7()

-- name: open(user_id, session_id, refresh_token_hash, lifetime_seconds, user_agent)
insert into public.user_sessions (user_id, id, refresh_token_hash, expires_at, user_agent)
values (:user_id, :session_id, :refresh_token_hash, now() + make_interval(secs => :lifetime_seconds::float8), left(:user_agent::text, 400))
returning id

-- name: note_visit(user_id, session_id, landing_page, referrer, device_type, campaign)
insert into public.session_analytics (user_id, session_id, landing_page, referrer, device_type, campaign)
values (:user_id, :session_id, :landing_page, :referrer, :device_type, :campaign)
returning id

-- name: of_token(session_id)
-- Locked, so that one refresh token can be exchanged once only.
select s.user_id, s.id, s.refresh_token_hash, s.rotated_token_hashes, s.revoked_at is not null as is_revoked,
  s.expires_at <= now() as is_expired, p.is_anonymous, p.email
from public.user_sessions s join public.profiles p on p.id = s.user_id
where s.id = :session_id::uuid
for update of s

-- name: rotate(user_id, session_id, refresh_token_hash, lifetime_seconds)
update public.user_sessions set
  rotated_token_hashes = (array[refresh_token_hash] || rotated_token_hashes)[1:64],
  refresh_token_hash = :refresh_token_hash,
  expires_at = now() + make_interval(secs => :lifetime_seconds::float8),
  last_used_at = now()
where user_id = :user_id and id = :session_id
returning id

-- name: revoke(user_id, session_id)
update public.user_sessions set revoked_at = now()
where user_id = :user_id and id = :session_id and revoked_at is null
returning id
