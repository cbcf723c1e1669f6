-- The queue of mails. Only service_role may call these functions.

create or replace function private.queue_mail(p_user uuid, p_template text, p_recipient text, p_lifetime interval)
returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  insert into private.outbox (user_id, recipient, template, expires_at)
  values (p_user, p_recipient, p_template, now() + p_lifetime)
$$;
comment on function private.queue_mail(uuid, text, text, interval) is 'Queues a mail without a token.';

create or replace function private.take_mail(p_lease interval)
returns table (id uuid, recipient text, template text, payload bytea, attempts integer)
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  update private.outbox o set attempts = o.attempts + 1, next_attempt_at = now() + p_lease
  where o.id = (
    select w.id from private.outbox w
    where w.next_attempt_at <= now() and w.expires_at > now()
    order by w.next_attempt_at
    limit 1
    for update skip locked)
  returning o.id, o.recipient, o.template, o.payload, o.attempts
$$;
comment on function private.take_mail(interval) is
  'The next mail to send. It is leased to the caller; if that dies, another worker takes the mail after the lease.';

create or replace function private.finish_mail(p_id uuid, p_error text, p_retry_after interval) returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  update private.outbox set
    sent_at = case when p_error is null then now() end,
    last_error = p_error,
    next_attempt_at = now() + p_retry_after,
    payload = case when p_retry_after is not null then payload end
  where id = p_id
$$;
comment on function private.finish_mail(uuid, text, interval) is
  'Marks a mail as sent or, with an error, for a retry after the interval; null gives up.';

-- The id carries the time, so finding old rows needs no further index.
drop function if exists private.purge_mail(interval);
create or replace function private.purge_mail(p_keep interval, p_maximum integer default 5000) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  done integer;
  total integer := 0;
begin
  delete from private.one_time_tokens where ctid = any (array(
    select ctid from private.one_time_tokens where expires_at < now() limit p_maximum));
  get diagnostics done = row_count;
  total := total + done;
  delete from private.reset_requests where ctid = any (array(
    select ctid from private.reset_requests where expires_at < now() limit p_maximum));
  get diagnostics done = row_count;
  total := total + done;
  update private.outbox set next_attempt_at = null, payload = null, last_error = coalesce(last_error, 'expired unsent')
  where ctid = any (array(
    select ctid from private.outbox where next_attempt_at is not null and expires_at < now() limit p_maximum));
  get diagnostics done = row_count;
  total := total + done;
  delete from private.outbox where ctid = any (array(
    select ctid from private.outbox where id < private.uuid_v7_floor(now() - p_keep) limit p_maximum));
  get diagnostics done = row_count;
  return total + done;
end
$$;
comment on function private.purge_mail(interval, integer) is
  'Deletes expired tokens and requests, mails that are older than this, and what expired mails would have said: at most so '
  'many rows of each. Returns how many: with fewer than that, all are done.';

revoke all on function private.queue_mail(uuid, text, text, interval), private.take_mail(interval),
  private.finish_mail(uuid, text, interval), private.purge_mail(interval, integer) from public, anon, authenticated;
grant execute on function private.queue_mail(uuid, text, text, interval), private.take_mail(interval),
  private.finish_mail(uuid, text, interval), private.purge_mail(interval, integer) to service_role;
