alter table public.audit_log drop column times;
