-- Feeds that are fetched from a URL, once or on a schedule.
create table private.import_sources (
  name text constraint import_sources_pkey primary key,
  mapping jsonb not null,
  every_seconds integer,
  next_at timestamptz,
  failures integer not null default 0,
  imported_with text,
  etag text,
  last_modified text,
  constraint import_sources_name_format check (name ~ '^[a-z0-9]+([-_][a-z0-9]+)*$' and char_length(name) <= 100),
  constraint import_sources_every_range check (every_seconds between 300 and 2678400),
  constraint import_sources_scheduled check ((every_seconds is null) = (next_at is null))
);
comment on table private.import_sources is 'Feeds that are fetched from a URL; written by aclue import products --source.';
comment on column private.import_sources.mapping is 'With its [source]: it names variables with secrets, never their values.';
comment on column private.import_sources.next_at is 'When it is due; null: it is fetched by hand only.';
comment on column private.import_sources.failures is 'Failed fetches since the last success: they are repeated later and later.';
comment on column private.import_sources.imported_with is
  'SHA-256 of the mapping of the last import: with another mapping the same file means something else.';
comment on column private.import_sources.etag is 'What the server said of the file that was imported last, to ask whether it changed.';
alter table private.import_sources enable row level security;
