-- name: request(kind)
-- As the person: refused to people with a second factor who have not shown it.
insert into public.privacy_requests (kind) values (:kind) returning id, created_at

-- name: person(user_id)
-- As service_role.
select is_anonymous, email from public.profiles where id = :user_id::uuid

-- name: merged_sessions(user_id)
-- The anonymous profiles that were merged into an account.
select session_profile_id as id from public.session_merges where user_id = :user_id::uuid

-- name: erase(user_id, subject_hashes)
-- As service_role: returns whether the log-in was deleted, too.
select private.erase_person(:user_id::uuid, :subject_hashes::bytea[])

-- name: people()
-- As the owner: everybody, to be compared with the tombstones.
select id from public.profiles

-- name: tombstones()
select subject_hash, erased_at from public.erasure_tombstones order by erased_at, subject_hash

-- name: keep_tombstone(subject_hash, erased_at)
-- As the owner: stores a tombstone that is newer than the restored backup.
insert into public.erasure_tombstones (subject_hash, erased_at) values (:subject_hash, :erased_at)
on conflict (subject_hash) do nothing

-- name: purge_views(days, maximum)
-- This and those below: as job_worker or the owner; deletes up to so many rows and returns how many.
select private.purge_partitioned('product_views', :days::int, :maximum::int)

-- name: purge_impressions(days, maximum)
select private.purge_partitioned('impressions', :days::int, :maximum::int)

-- name: purge_events(days, maximum)
select private.purge_partitioned('analytics_events', :days::int, :maximum::int)

-- name: purge_visits(days, maximum)
select private.purge_visits(:days::int, :maximum::int)

-- name: purge_anonymous(days, maximum)
select private.purge_anonymous(:days::int, :maximum::int)

-- name: purge_sessions(days, maximum)
select private.purge_sessions(:days::int, :maximum::int)

-- name: purge_redirects(days, maximum)
select private.purge_redirects(:days::int, :maximum::int)

-- name: purge_keys(days, maximum)
select private.purge_keys(:days::int, :maximum::int)

-- name: purge_attempts(days, maximum)
select private.purge_attempts(:days::int, :maximum::int)

-- name: purge_system_logs(days, maximum)
select private.purge_system_logs(:days::int, :maximum::int)

-- name: purge_audit_log(days, maximum)
select private.purge_audit_log(:days::int, :maximum::int)

-- name: purge_imports(days, maximum)
-- What they changed; the runs stay.
select private.purge_import_changes(:days::int, :maximum::int)
