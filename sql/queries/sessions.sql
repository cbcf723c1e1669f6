-- What keeps people signed in. All of it runs as service_role.

-- name: create_anonymous_profile()
insert into public.profiles (is_anonymous) values (true) returning id

-- name: new_id()
select private.uuid_v7()

-- name: open(user_id, session_id, refresh_token_hash, lifetime_seconds, user_agent, networks, amr)
insert into public.user_sessions (user_id, id, refresh_token_hash, expires_at, user_agent, networks, amr)
values (:user_id, :session_id, :refresh_token_hash, now() + make_interval(secs => :lifetime_seconds::float8),
  left(:user_agent::text, 400), :networks::bytea[], :amr::jsonb)
returning id

-- name: note_visit(user_id, session_id, landing_page, referrer, device_type, campaign)
insert into public.session_analytics (user_id, session_id, landing_page, referrer, device_type, campaign)
values (:user_id, :session_id, :landing_page, :referrer, :device_type, :campaign)
returning id

-- name: of_token(session_id)
-- Locked, so that one refresh token can be exchanged once only.
select s.user_id, s.id, s.refresh_token_hash, s.rotated_token_hashes, s.revoked_at is not null as is_revoked,
  s.expires_at <= now() as is_expired, s.aal, s.amr, p.is_anonymous, p.email
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

-- name: revoke_others(user_id, session_id)
-- All of them where there is no session to be spared.
update public.user_sessions set revoked_at = now()
where user_id = :user_id::uuid and id is distinct from :session_id::uuid and revoked_at is null and expires_at > now()
returning id

-- name: is_own(user_id, session_id)
select exists (select from public.user_sessions where user_id = :user_id::uuid and id = :session_id::uuid)

-- name: is_live(user_id, session_id)
select exists (
  select from public.user_sessions r
  where r.user_id = :user_id::uuid and r.id = :session_id::uuid and r.revoked_at is null and r.expires_at > now())

-- name: has_ended(user_id, session_id)
-- Unlike is_live, another service's session passes: we do not know of its end.
select exists (
  select from public.user_sessions
  where user_id = :user_id::uuid and id = :session_id::uuid and (revoked_at is not null or expires_at <= now()))

-- name: live()
r.revoked_at is null and r.expires_at > now()

-- name: prove(user_id, session_id, aal, amr)
-- What the session's tokens say of how the person signed in.
update public.user_sessions set aal = :aal, amr = :amr::jsonb
where user_id = :user_id and id = :session_id
returning id

-- name: lower(user_id)
-- There is no second factor left that could have been shown.
update public.user_sessions set
  aal = 'aal1',
  amr = coalesce((select jsonb_agg(m) from jsonb_array_elements(amr) m where m ->> 'method' not in ('totp', 'recovery_code')), '[]')
where user_id = :user_id and aal <> 'aal1' and not private.has_mfa(:user_id)
returning id
