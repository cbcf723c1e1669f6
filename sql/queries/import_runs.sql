-- name: mark_interrupted()
select private.interrupted_imports();

-- name: notice_disconnects()
-- Otherwise the statement of a process that was killed would run to its end, and hold the lock of its run.
select set_config('client_connection_check_interval', '1s', false);

-- name: begin(started_by, source, file, mapping, undoes)
-- The lock tells a run that is running from one whose process was killed; taken here, it is held before anybody sees the row.
insert into public.import_runs (started_by, source, file_name, mapping, undoes_id)
values (:started_by, :source, :file, :mapping::jsonb, :undoes)
returning id, number, pg_advisory_lock(hashtext('aclue.import_run'), number::integer);

-- name: record(run)
-- From here to the end of the transaction, or to stop_recording, triggers record what is written.
with noted as (update public.import_runs set table_columns = private.recorded_columns() where id = :run::uuid)
select set_config('aclue.import_run', :run::uuid::text, true);

-- name: stop_recording()
select set_config('aclue.import_run', '', true);

-- name: describe_file(run, bytes, hash)
update public.import_runs set file_bytes = :bytes, file_hash = :hash where id = :run;

-- name: finish(run, outcome, counts, error)
update public.import_runs
set outcome = :outcome, finished_at = clock_timestamp(), counts = :counts::jsonb, error = :error
where id = :run;

-- name: rejects(number)
select e.line, e.external_id, e.field, e.value, e.reason, e.kind
from private.import_rejects e join public.import_runs r on r.id = e.run_id
where r.number = :number order by e.number;

-- name: release(number)
select pg_advisory_unlock(hashtext('aclue.import_run'), :number::integer);

-- name: newest(size)
select r.number, r.started_at, r.finished_at, r.outcome, r.started_by, r.source, r.file_name, r.file_hash, r.counts, r.error,
  u.number as undoes, b.number as undone_by, r.is_forgotten
from public.import_runs r
left join public.import_runs u on u.id = r.undoes_id
left join public.import_runs b on b.id = r.undone_by_id
order by r.number desc limit :size;

-- name: find(number)
select r.id, r.number, r.outcome, r.is_forgotten, r.undoes_id, b.number as undone_by,
  exists (select from private.import_changes c where c.run_id = r.id) as has_changes
from public.import_runs r left join public.import_runs b on b.id = r.undone_by_id
where r.number = :number;

-- name: prepare_undo(run)
select private.prepare_undo(:run);

-- name: find_undo_conflicts()
select private.find_undo_conflicts();

-- name: undo_conflicts(number, size)
-- With the newest later run that wrote the value, or the row; null: it was written outside of imports.
select c.table_name, c.label, c.column_name, c.was_set, c.is_now, c.reason, count(*) over () as total, (
    select max(r.number) from public.import_runs r join private.import_changes x on x.run_id = r.id
    where r.number > :number and x.table_name = c.table_name and x.row_key = c.row_key and r.outcome = 'done'
      and (c.column_name is null or x.operation <> 'update' or x.after ? c.column_name)) as run
from pg_temp.import_conflicts c order by 1, 2, 3 limit :size;

-- name: apply_undo()
select operation, table_name, rows from private.apply_undo();

-- name: mark_undone(run, undo)
-- What the run itself had taken back is in force again.
update public.import_runs r set undone_by_id = case when r.id = :run::uuid then :undo::uuid end
where r.id = :run::uuid or r.undone_by_id = :run::uuid;

-- name: audit_undo(number, counts)
insert into public.audit_log (operation, table_name, changes)
values ('import', 'public.products', jsonb_build_object('undone', :number::bigint) || :counts::jsonb);
