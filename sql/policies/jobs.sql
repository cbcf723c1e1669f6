-- Only job_worker, which runs the jobs, reaches the queue; others enqueue by private.enqueue_job().
revoke all on all tables in schema jobs from public, anon, authenticated, service_role, job_worker;
revoke all on all sequences in schema jobs from public, anon, authenticated, service_role, job_worker;
revoke all on schema jobs from public, anon, authenticated, service_role;

alter table jobs.pgqueuer enable row level security;
grant select, update, delete on table jobs.pgqueuer to job_worker;
drop policy if exists pgqueuer_worker on jobs.pgqueuer;
create policy pgqueuer_worker on jobs.pgqueuer for all to job_worker using (true) with check (true);

alter table jobs.pgqueuer_log enable row level security;
grant select, insert, delete on table jobs.pgqueuer_log to job_worker;
drop policy if exists pgqueuer_log_worker on jobs.pgqueuer_log;
create policy pgqueuer_log_worker on jobs.pgqueuer_log for all to job_worker using (true) with check (true);

alter table jobs.pgqueuer_schedules enable row level security;
grant select, insert, update, delete on table jobs.pgqueuer_schedules to job_worker;
drop policy if exists pgqueuer_schedules_worker on jobs.pgqueuer_schedules;
create policy pgqueuer_schedules_worker on jobs.pgqueuer_schedules for all to job_worker using (true) with check (true);
