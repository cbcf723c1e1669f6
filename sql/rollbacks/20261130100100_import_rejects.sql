-- Refused rows are no longer kept, and runs name no columns.
drop table private.import_rejects;
alter table public.import_runs drop column table_columns;
