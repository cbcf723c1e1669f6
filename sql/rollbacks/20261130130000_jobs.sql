-- Jobs that wait are lost; what is due is found again by their schedules. The role stays: it belongs to the whole server.
drop trigger if exists outbox_delivered on private.outbox;
drop trigger if exists outbox_retried on private.outbox;
drop trigger if exists reset_requests_answered on private.reset_requests;
drop trigger if exists postbacks_processed on public.postbacks;
drop trigger if exists postbacks_retried on public.postbacks;
drop function if exists private.enqueue_job_of_row();
drop function if exists private.enqueue_job(text, interval);
drop function if exists private.job_counts();
drop schema jobs cascade;
drop function if exists private.tell_jobs();
