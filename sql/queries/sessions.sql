-- Sessions and their refresh tokens. All blocks run as service_role.

-- name: create_anonymous_profile()
insert into public.profiles (is_anonymous) values (true) returning id

-- name: new_id()
select private.uuid_v7()

-- name: open(user_id, session_id, refresh_token_hash, lifetime_seconds, user_agent, networks, amr)
-- Returns whether the person's e-mail is verified, for the token.
insert into public.user_sessions (user_id, id, refresh_token_hash, expires_at, user_agent, networks, amr)
values (:user_id, :session_id, :refresh_token_hash, now() + make_interval(secs => :lifetime_seconds::float8),
  left(:user_agent::text, 400), :networks::bytea[], :amr::jsonb)
returning (select p.email_verified_at is not null from public.profiles p where p.id = user_id)

-- name: note_visit(user_id, session_id, landing_page, referrer, device_type, device_class, campaign, utm_source, utm_medium)
insert into public.session_analytics (
  user_id, session_id, landing_page, referrer, device_type, device_class, campaign, utm_source, utm_medium)
values (
  :user_id, :session_id, :landing_page, :referrer, :device_type, :device_class, :campaign, :utm_source, :utm_medium)
returning id

-- name: of_token(session_id, token_hash, grace_seconds)
-- The session, and the state of a refresh token: live, or exchanged so recently that it may be presented again
-- (is_repeatable). `pairs` is the number of exchanges within the grace period. Locks the session, so that concurrent
-- requests with its tokens see each other's changes.
select s.user_id, s.id, s.revoked_at is not null as is_revoked, s.expires_at <= now() as is_expired, s.aal, s.amr,
  p.is_anonymous, p.email, p.email_verified_at is not null as is_verified,
  array_prepend(s.refresh_token_hash, s.branch_token_hashes) as live_hashes,
  :token_hash::bytea = any (array_prepend(s.refresh_token_hash, s.branch_token_hashes)) as is_live,
  :token_hash::bytea = any (s.rotated_token_hashes) as is_rotated,
  exists (select from unnest(s.rotated_token_hashes, s.rotated_at) r (hash, at)
    where r.hash = :token_hash::bytea and :grace_seconds::float8 > 0
      and r.at > now() - make_interval(secs => :grace_seconds::float8)) as is_repeatable,
  (select count(*) from unnest(s.rotated_at) r (at)
    where r.at > now() - make_interval(secs => :grace_seconds::float8)) as pairs
from public.user_sessions s join public.profiles p on p.id = s.user_id
where s.id = :session_id::uuid
for update of s

-- name: rotate(user_id, session_id, old_hash, new_hash, has_grace, grace_seconds, lifetime_seconds, maximum)
-- Adds a live token, which replaces the old one; the old one's time stays that of its first exchange. Tokens whose grace
-- period is over are dropped, except hashes without a time: these are tokens without a signature, which could not be
-- told from guesses.
update public.user_sessions s set
  refresh_token_hash = :new_hash,
  branch_token_hashes =
    (array_remove(array_prepend(s.refresh_token_hash, s.branch_token_hashes), :old_hash::bytea))[1:(:maximum::integer - 1)],
  (rotated_token_hashes, rotated_at) = (
    select coalesce(array_agg(r.hash order by r.n), '{}'), coalesce(array_agg(r.at order by r.n), '{}')
    from (
      select :old_hash::bytea, 0, case when :has_grace::boolean then coalesce(
        (select min(k.at) from unnest(s.rotated_token_hashes, s.rotated_at) k (hash, at) where k.hash = :old_hash::bytea),
        now()) end
      union all
      select k.hash, k.n, k.at from unnest(s.rotated_token_hashes, s.rotated_at) with ordinality k (hash, at, n)
      where k.at is null or k.at > now() - make_interval(secs => :grace_seconds::float8)
      order by 2 limit :maximum::integer
    ) r (hash, n, at)
    where r.hash is not null),
  expires_at = now() + make_interval(secs => :lifetime_seconds::float8),
  last_used_at = now()
where s.user_id = :user_id and s.id = :session_id
returning id

-- name: revoke(user_id, session_id)
update public.user_sessions set revoked_at = now()
where user_id = :user_id and id = :session_id and revoked_at is null
returning id

-- name: revoke_others(user_id, session_id)
-- All of them without a session to spare; returns whether each was live. Expired ones, too: a concurrent refresh, just
-- before the session expires, must not extend it.
update public.user_sessions set revoked_at = now()
where user_id = :user_id::uuid and id is distinct from :session_id::uuid and revoked_at is null
returning expires_at > now() as was_live

-- name: is_own(user_id, session_id)
select exists (select from public.user_sessions where user_id = :user_id::uuid and id = :session_id::uuid)

-- name: is_live(user_id, session_id)
select exists (
  select from public.user_sessions r
  where r.user_id = :user_id::uuid and r.id = :session_id::uuid and r.revoked_at is null and r.expires_at > now())

-- name: has_ended(user_id, session_id)
-- Null for another service's session, whose end is unknown here.
select (
  select revoked_at is not null or expires_at <= now() from public.user_sessions
  where user_id = :user_id::uuid and id = :session_id::uuid)

-- name: live()
r.revoked_at is null and r.expires_at > now()

-- name: prove(user_id, session_id, aal, amr)
-- Stores how the person signed in, for the session's tokens.
update public.user_sessions set aal = :aal, amr = :amr::jsonb
where user_id = :user_id and id = :session_id
returning id

-- name: lower(user_id)
-- Lowers all sessions to aal1 if the person has no second factor any more.
update public.user_sessions set
  aal = 'aal1',
  amr = coalesce((select jsonb_agg(m) from jsonb_array_elements(amr) m where m ->> 'method' not in ('totp', 'recovery_code')), '[]')
where user_id = :user_id and aal <> 'aal1' and not private.has_mfa(:user_id)
returning id
