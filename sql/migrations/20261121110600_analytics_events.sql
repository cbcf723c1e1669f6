-- What happens on the pages of a front end. Many rows, so partitioned by month on the id, as product_views are.

create table public.analytics_events (
  user_id uuid not null default auth.uid()
    constraint analytics_events_user_id_fkey references public.profiles (id) on delete cascade,
  id uuid not null,
  session_id uuid,
  event_name text not null,
  properties jsonb not null default '{}',
  page text,
  created_at timestamptz not null default now(),
  constraint analytics_events_pkey primary key (user_id, id),
  constraint analytics_events_event_name_length check (char_length(event_name) between 1 and 100),
  constraint analytics_events_properties_object check (jsonb_typeof(properties) = 'object'),
  constraint analytics_events_properties_size check (octet_length(properties::text) <= 8192),
  constraint analytics_events_page_length check (char_length(page) <= 200)
) partition by range (id);
comment on table public.analytics_events is 'What people did on the pages of a front end, as it tells it.';
comment on column public.analytics_events.id is 'Chosen by the client: a UUIDv7 of the moment, so that a repeat is harmless.';
-- Counting reads a stretch of time of everybody's rows, and of those the name and the person alone.
create index analytics_events_id_idx on public.analytics_events (id) include (event_name, user_id);

create table public.analytics_events_default partition of public.analytics_events default;
comment on table public.analytics_events_default is 'Stays empty while private.ensure_partitions() runs in time.';
alter table public.analytics_events_default enable row level security;
