-- name: archiving()
-- As the superuser of the embedded server: where it archives WAL to, whether that works, and how old what is not archived
-- yet may be.
select
  current_setting('archive_mode') <> 'off' as is_on,
  current_setting('archive_command') as command,
  last_archived_time,
  case when last_failed_time > coalesce(last_archived_time, '-infinity') then last_failed_wal end as failing,
  extract(epoch from now() - coalesce(last_archived_time, stats_reset))::double precision as seconds
from pg_stat_archiver

-- name: database()
-- The database's identity and its timeline, which a restore changes.
select system_identifier::text, left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) as timeline from pg_control_system()

-- name: commit()
-- Commits a transaction that changes nothing, and returns a time before that: recovery stops at the times of commits.
select clock_timestamp() from pg_current_xact_id()

-- name: switch()
-- Completes the current segment of the WAL, and returns its name.
select pg_walfile_name(pg_switch_wal())

-- name: newest_replayed()
-- After a recovery: the time of the last transaction that came from the WAL.
select pg_last_xact_replay_timestamp()

-- name: tables()
-- As the owner: tables with rows, and whether clients could reach them without row level security.
select c.oid::regclass::text as name, n.nspname = 'public' and not c.relrowsecurity as is_unprotected
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and n.nspname in ('public', 'private', 'auth')
order by name

-- name: end_sessions()
-- As the owner: which of them were revoked later is unknown. Not those of anonymous people, who could not sign in again.
update public.user_sessions s set revoked_at = now()
from public.profiles p
where p.id = s.user_id and not p.is_anonymous and s.revoked_at is null and s.expires_at > now()
returning s.id

-- name: forget_mailed_tokens()
-- As the owner: which of them were used later is unknown, too.
delete from private.one_time_tokens returning kind
