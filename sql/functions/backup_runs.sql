-- The owner records runs of backups, whatever tool makes them.

create or replace function private.record_backup(p_kind text, p_failure text, p_finished_at timestamptz) returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  insert into private.backup_runs (kind, failure, finished_at) values (p_kind, left(p_failure, 500), p_finished_at);
  delete from private.backup_runs where id <= (select max(id) - 100 from private.backup_runs)
    and id <> all (array(
      select max(id) from private.backup_runs where failure is null group by kind));
$$;
comment on function private.record_backup(text, text, timestamptz) is
  'Notes that a backup was made, or with a failure that it was not. Keeps the last hundred, and the last success of each kind.';

revoke all on function private.record_backup(text, text, timestamptz) from public, anon, authenticated, service_role;
