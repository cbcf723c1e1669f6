-- The column goes, with what it holds.
alter table public.audit_log drop column times;
