-- The queue of mails. All blocks run as service_role.

-- name: queue(user_id, template, recipient, lifetime_seconds)
select private.queue_mail(
  :user_id::uuid, :template::text, :recipient::text, make_interval(secs => :lifetime_seconds::float8))

-- name: take(lease_seconds)
select id, recipient, template, payload, attempts from private.take_mail(make_interval(secs => :lease_seconds::float8))

-- name: finish(id, error, retry_after_seconds)
select private.finish_mail(:id::uuid, :error::text, make_interval(secs => :retry_after_seconds::float8))

-- name: purge(keep_seconds, maximum)
select private.purge_mail(make_interval(secs => :keep_seconds::float8), :maximum::int)
