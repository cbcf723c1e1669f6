-- name: merge(session)
-- Into the caller's account; the session is service_role's with the account as its subject.
select outcome, swipes, clicks, views, assessments from private.merge_session(:session::uuid)

-- name: of_session(session_id)
-- The current owner of a session's profile, and the anonymous profile that it had.
select s.user_id, coalesce(m.session_profile_id, s.user_id) as session_profile_id, m.user_id is not null as is_merged
from public.user_sessions s left join public.session_merges m on m.session_id = s.id and m.user_id = s.user_id
where s.id = :session_id::uuid
