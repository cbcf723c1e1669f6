-- name: merge(session)
-- Into the caller's account; the session is service_role's with the account as its subject.
select outcome, swipes, clicks, views, assessments from private.merge_session(:session::uuid)
