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
-- This and those below: as the owner; deletes up to so many rows and returns how many. The statements stay written out,
-- because docs/schema.md and the checks on rows of people read them.
select private.purge_partitioned('product_views', :days::int, :maximum::int)

-- name: purge_impressions(days, maximum)
select private.purge_partitioned('impressions', :days::int, :maximum::int)

-- name: purge_events(days, maximum)
select private.purge_partitioned('analytics_events', :days::int, :maximum::int)

-- name: purge_visits(days, maximum)
with gone as (
  delete from public.session_analytics where (user_id, id) in (
    select user_id, id from public.session_analytics
    where started_at < now() - make_interval(days => :days::int) limit :maximum::int)
  returning 1)
select count(*) from gone

-- name: purge_anonymous(days, maximum)
select private.purge_anonymous(:days::int, :maximum::int)

-- name: purge_sessions(days, maximum)
-- Sessions that ended so long ago, expired or revoked. The network hashes of each person's first session stay: without
-- them each person would count for popularity as a household of their own (private.trusted_signals).
with ended as (
  select * from (
    select s.user_id, s.id, s.amr = '[]' and s.user_agent is null as is_empty,
      s.networks is not null and not exists (
        select from public.user_sessions o where o.user_id = s.user_id and o.networks is not null
          and (o.created_at, o.id) < (s.created_at, s.id)) as is_first
    from public.user_sessions s
    where least(s.expires_at, s.revoked_at) < now() - make_interval(days => :days::int)
  ) over_for_long where not (is_first and is_empty) limit :maximum::int
), gone as (
  delete from public.user_sessions s using ended e
  where s.user_id = e.user_id and s.id = e.id and not e.is_first
  returning 1
), emptied as (
  update public.user_sessions s set user_agent = null, amr = '[]', revoked_at = coalesce(s.revoked_at, now())
  from ended e where s.user_id = e.user_id and s.id = e.id and e.is_first
  returning 1
)
select (select count(*) from gone) + (select count(*) from emptied)

-- name: purge_redirects(days, maximum)
with gone as (
  delete from public.affiliate_redirects where (user_id, id) in (
    select user_id, id from public.affiliate_redirects
    where redirected_at < now() - make_interval(days => :days::int) limit :maximum::int)
  returning 1)
select count(*) from gone

-- name: purge_keys(days, maximum)
with gone as (
  delete from public.idempotency_keys where (user_id, operation, key) in (
    select user_id, operation, key from public.idempotency_keys
    where created_at < now() - make_interval(days => :days::int) limit :maximum::int)
  returning 1)
select count(*) from gone

-- name: purge_attempts(days, maximum)
with gone as (
  delete from private.auth_attempts where (bucket, window_start) in (
    select bucket, window_start from private.auth_attempts
    where window_start < now() - make_interval(days => :days::int) limit :maximum::int)
  returning 1)
select count(*) from gone

-- name: purge_system_logs(days, maximum)
with gone as (
  delete from public.system_logs where id in (
    select id from public.system_logs
    where created_at < now() - make_interval(days => :days::int) order by created_at limit :maximum::int)
  returning 1)
select count(*) from gone

-- name: purge_audit_log(days, maximum)
select private.purge_audit_log(:days::int, :maximum::int)

-- name: purge_imports(days, maximum)
-- What they changed; the runs stay.
select private.purge_import_changes(:days::int, :maximum::int)
