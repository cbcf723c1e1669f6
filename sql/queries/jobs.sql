-- The queue of background jobs. As job_worker, if nothing else is said.

-- name: enqueue(name, after_seconds)
-- As service_role, too.
select private.enqueue_job(:name::text, make_interval(secs => :after_seconds::float8))

-- name: enqueue_missing(names)
-- Those that do not wait already.
select private.enqueue_job(name) from unnest(:names::text[]) name
where not exists (
  select from jobs.pgqueuer q where q.entrypoint = name and q.status = 'queued' and q.execute_after <= now())

-- name: begin(name, id)
-- A run does all that is due, so it stands for the others that wait, and for a failed one.
delete from jobs.pgqueuer
where entrypoint = :name::text and id <> :id::bigint
  and (status = 'failed' or (status = 'queued' and execute_after <= now()))

-- name: forget_schedules(names, expressions)
-- Of jobs that are gone, or have another schedule now: no process has queued them for days. Others may still do so.
delete from jobs.pgqueuer_schedules s
where s.next_run < now() - interval '2 days' and not exists (
  select from unnest(:names::text[], :expressions::text[]) known (name, expression)
  where known.name = s.entrypoint and known.expression = s.expression)

-- name: counts()
-- As service_role, too.
select name, queued, running, failed, oldest_seconds from private.job_counts()

-- name: schedules()
-- The next run of each job, though processes with other settings may have other schedules.
select distinct on (s.entrypoint) s.entrypoint as name, s.next_run,
  (select l.created from jobs.pgqueuer_log l
   where l.entrypoint = s.entrypoint and l.status = 'successful' order by l.id desc limit 1) as last_success
from jobs.pgqueuer_schedules s order by s.entrypoint, s.next_run < now(), s.next_run

-- name: failed()
select q.id, q.entrypoint as name, q.updated as failed_at,
  (select l.traceback ->> 'exception_message' from jobs.pgqueuer_log l
   where l.job_id = q.id and l.entrypoint = q.entrypoint and l.traceback is not null order by l.id desc limit 1) as reason
from jobs.pgqueuer q where q.status = 'failed' order by q.updated, q.id

-- name: retry(name)
-- Null: all that failed.
with again as (
  delete from jobs.pgqueuer where status = 'failed' and (:name::text is null or entrypoint = :name::text)
  returning entrypoint)
select entrypoint as name, private.enqueue_job(entrypoint) from (select distinct entrypoint from again) failed

-- name: purge(keep_days, maximum)
with gone as (
  delete from jobs.pgqueuer_log where id = any (array(
    select l.id from jobs.pgqueuer_log l
    where l.created < now() - make_interval(days => :keep_days::int) order by l.created limit :maximum::int))
  returning 1)
select count(*) from gone
