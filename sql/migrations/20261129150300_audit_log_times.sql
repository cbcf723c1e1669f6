-- A request that does the same again leaves one entry, which says how often.
alter table public.audit_log add column times integer not null default 1;
comment on column public.audit_log.times is
  'How often the request did this: the changes are from before the first time to after the last, the key is the last one''s.';
