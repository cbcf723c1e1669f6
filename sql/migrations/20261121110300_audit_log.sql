-- Who changed what and when: docs/audit_log.md. Without foreign keys, as an entry outlives what it tells of.

create table public.audit_log (
  id uuid default private.uuid_v7() constraint audit_log_pkey primary key,
  at timestamptz not null default clock_timestamp(),
  actor uuid,
  person_id uuid,
  role text not null default current_user,
  app_role text,
  request_id text,
  operation text not null,
  table_name text not null,
  row_key jsonb not null default '{}',
  changes jsonb not null default '{}',
  erased_at timestamptz,
  constraint audit_log_operation check (operation in ('insert', 'update', 'delete', 'import')),
  constraint audit_log_row_key_object check (jsonb_typeof(row_key) = 'object'),
  constraint audit_log_changes_object check (jsonb_typeof(changes) = 'object')
);
comment on table public.audit_log is 'Append-only; written by private.audit() and, for imports, by the owner.';
comment on column public.audit_log.actor is 'The subject of the token; null for the owner, the server itself, and erased people.';
comment on column public.audit_log.person_id is 'Whom the row is about; null once that person was erased.';
comment on column public.audit_log.changes is
  '{column: {"old", "new"}}; {"left_out": true} for secrets and free text; of an import its counts.';
comment on column public.audit_log.erased_at is 'When values of a person were taken out of the entry.';
create index audit_log_actor_idx on public.audit_log (actor, id);
create index audit_log_person_id_idx on public.audit_log (person_id, id);
create index audit_log_table_name_idx on public.audit_log (table_name, id);
