-- Undoes 20261130120000_backup_runs.sql.
drop table private.backup_runs;
