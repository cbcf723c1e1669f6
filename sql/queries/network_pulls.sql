-- Pulls of what networks report, as service_role.

-- name: due()
-- The accounts whose last pull is long enough ago. A failed pull is repeated after 15 minutes, then after twice as long each
-- time, at most as rarely as the account is pulled anyway, but not before the network wants it; one that has said nothing for 15 minutes was killed.
select a.affiliate_network, a.name
from public.network_accounts a
left join lateral (
  select p.* from public.network_pulls p
  where p.affiliate_network = a.affiliate_network and p.account_name = a.name
  order by p.id desc limit 1) last on true
where a.every_seconds is not null and (last.id is null or now() >= case
  when last.outcome = 'done' then last.started_at + make_interval(secs => a.every_seconds)
  when last.outcome = 'failed'
    then greatest(last.retry_at, last.finished_at + make_interval(secs => least(a.every_seconds, 450 * 2 ^ least(last.failures, 12))))
  else last.seen_at + interval '15 minutes' end)
order by a.affiliate_network, a.name

-- name: lock()
-- So that two servers do not begin the same pull.
select pg_advisory_xact_lock(hashtextextended('aclue network pulls', 0))

-- name: interrupt(affiliate_network, account_name)
-- What still runs by its own account and has said nothing for long was killed.
update public.network_pulls set outcome = 'interrupted'
where affiliate_network = :affiliate_network and account_name = :account_name and outcome = 'running'
  and seen_at < now() - interval '15 minutes'

-- name: forget()
delete from public.network_pulls where id < private.uuid_v7_floor(now() - interval '400 days')

-- name: begin(affiliate_network, account_name, started_by, since)
insert into public.network_pulls (affiliate_network, account_name, started_by, since)
values (:affiliate_network, :account_name, :started_by, :since::timestamptz)
returning id

-- name: seen(id)
update public.network_pulls set seen_at = clock_timestamp() where id = :id::uuid

-- name: add(id, windows, new_reports, repeated_reports, ignored_rows, rejected_rows, rejects)
-- What another window brought.
update public.network_pulls set seen_at = clock_timestamp(), windows = windows + :windows::int,
  new_reports = new_reports + :new_reports::int, repeated_reports = repeated_reports + :repeated_reports::int,
  ignored_rows = ignored_rows + :ignored_rows::int, rejected_rows = rejected_rows + :rejected_rows::int,
  rejects = (rejects || :rejects::text[])[1:20]
where id = :id::uuid

-- name: finish(id, outcome, requests, error, retry_after_seconds)
update public.network_pulls p set outcome = :outcome, finished_at = clock_timestamp(), seen_at = clock_timestamp(),
  requests = :requests::int, error = :error,
  retry_at = clock_timestamp() + make_interval(secs => nullif(:retry_after_seconds::double precision, 0)),
  failures = case when :outcome = 'done' then 0 else 1 + coalesce((
    select b.failures from public.network_pulls b
    where b.affiliate_network = p.affiliate_network and b.account_name = p.account_name and b.id < p.id
      and b.outcome in ('done', 'failed')
    order by b.id desc limit 1), 0) end
where p.id = :id::uuid

-- name: watermarks(affiliate_network, account_name)
select date_type, read_until from public.network_watermarks
where affiliate_network = :affiliate_network and account_name = :account_name order by date_type

-- name: advance(affiliate_network, account_name, date_type, read_until)
-- Never back: of two pulls at once the one that read less may commit last.
insert into public.network_watermarks as w (affiliate_network, account_name, date_type, read_until)
values (:affiliate_network, :account_name, :date_type, :read_until::timestamptz)
on conflict on constraint network_watermarks_pkey do update
set read_until = excluded.read_until
where w.read_until < excluded.read_until

-- name: newest(affiliate_network, account_name, size)
select id, started_by, since, started_at, finished_at, outcome, failures, requests, windows, new_reports, repeated_reports,
  ignored_rows, rejected_rows, rejects, error
from public.network_pulls
where affiliate_network = :affiliate_network and account_name = :account_name
order by id desc limit :size::int
