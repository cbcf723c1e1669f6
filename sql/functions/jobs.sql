-- Enqueues background jobs in the transaction that causes them: services/jobs.py, docs/jobs.md.

create or replace function private.enqueue_job(p_name text, p_after interval default '0') returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  insert into jobs.pgqueuer (priority, entrypoint, status, execute_after)
  values (0, p_name, 'queued', now() + greatest(p_after, interval '0'))
$$;
comment on function private.enqueue_job(text, interval) is
  'Has a job run as soon as this transaction has committed, or so much later. One run does the work of all that are due.';

-- The job is named by the trigger, and runs at the row's next_attempt_at, if it has one.
create or replace function private.enqueue_job_of_row() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform private.enqueue_job(
    tg_argv[0], coalesce((pg_catalog.to_jsonb(new) ->> 'next_attempt_at')::timestamptz - now(), '0'));
  return null;
end
$$;

create or replace function private.tell_jobs() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_catalog.pg_notify('aclue_changes', 'jobs *');
  return null;
end
$$;

create or replace trigger pgqueuer_told after insert on jobs.pgqueuer
  for each statement execute function private.tell_jobs();
-- A retry: processes have to look again when the next job is due.
create or replace trigger pgqueuer_retried after update of attempts on jobs.pgqueuer
  for each row when (new.attempts > old.attempts) execute function private.tell_jobs();

create or replace trigger outbox_delivered after insert on private.outbox
  for each row execute function private.enqueue_job_of_row('deliver_mails');
-- Not where a mail is taken: that counts an attempt.
create or replace trigger outbox_retried after update of next_attempt_at on private.outbox
  for each row when (new.next_attempt_at is not null and new.attempts = old.attempts)
  execute function private.enqueue_job_of_row('deliver_mails');
create or replace trigger reset_requests_answered after insert on private.reset_requests
  for each row execute function private.enqueue_job_of_row('deliver_mails');
create or replace trigger postbacks_processed after insert on public.postbacks
  for each row execute function private.enqueue_job_of_row('process_postbacks');
create or replace trigger postbacks_retried after update of next_attempt_at on public.postbacks
  for each row when (new.status = 'waiting')
  execute function private.enqueue_job_of_row('process_postbacks');

create or replace function private.job_counts()
returns table (name text, queued bigint, running bigint, failed bigint, oldest_seconds double precision)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select q.entrypoint,
    count(*) filter (where q.status = 'queued' and q.execute_after <= now()),
    count(*) filter (where q.status = 'picked'),
    count(*) filter (where q.status = 'failed'),
    extract(epoch from coalesce(
      now() - min(q.execute_after) filter (where q.status = 'queued' and q.execute_after <= now()), '0'))
  from jobs.pgqueuer q
  group by q.entrypoint
  order by q.entrypoint
$$;
comment on function private.job_counts() is
  'Per job: how often it is queued and due, running, and held as failed; for how long the oldest due one has waited.';

revoke all on function private.enqueue_job(text, interval), private.enqueue_job_of_row(), private.tell_jobs(),
  private.job_counts() from public, anon, authenticated, service_role;
grant execute on function private.enqueue_job(text, interval), private.job_counts() to service_role, job_worker;
