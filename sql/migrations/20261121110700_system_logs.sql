-- What the service did and what went wrong in it, for those who run it. Never of a person: no names, no values.

create table public.system_logs (
  id uuid not null default private.uuid_v7() constraint system_logs_pkey primary key,
  level text not null,
  component text not null,
  message text not null,
  context jsonb not null default '{}',
  request_id text,
  created_at timestamptz not null default clock_timestamp(),
  constraint system_logs_level check (level in ('debug', 'info', 'warning', 'error', 'critical')),
  constraint system_logs_component_length check (char_length(component) between 1 and 100),
  constraint system_logs_message_length check (char_length(message) between 1 and 2000),
  constraint system_logs_context_object check (jsonb_typeof(context) = 'object'),
  constraint system_logs_context_size check (octet_length(context::text) <= 8192),
  constraint system_logs_request_id_length check (char_length(request_id) <= 100)
);
comment on table public.system_logs is 'Outcomes of housekeeping, and errors of ours by request id and type.';
create index system_logs_newest_idx on public.system_logs (created_at desc, id desc);
create index system_logs_level_idx on public.system_logs (level, created_at desc, id desc);
create index system_logs_component_idx on public.system_logs (component, created_at desc, id desc);
