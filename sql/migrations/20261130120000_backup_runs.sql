-- Runs of backups, for alerts: docs/backup.md. What was backed up stands in the folder of the backups.

create table private.backup_runs (
  id bigint generated always as identity constraint backup_runs_pkey primary key,
  kind text not null,
  finished_at timestamptz not null default now(),
  failure text,
  constraint backup_runs_kind check (kind in ('full', 'differential', 'incremental')),
  constraint backup_runs_failure_length check (char_length(failure) between 1 and 500)
);
comment on table private.backup_runs is 'Backups that were made or failed, the last hundred.';
comment on column private.backup_runs.failure is 'Why there is no backup; null if there is one.';

alter table private.backup_runs enable row level security;
